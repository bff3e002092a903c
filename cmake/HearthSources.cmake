# The sources of the library. Collections (quant, ops, arch) are globbed: adding a thing is one file
# and one row of a .def list. Everything else is listed.
file(GLOB HEARTH_GRAPH_OPS CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} src/graph/ops/*.c)
set(HEARTH_SOURCES
  src/base/hb_error.c
  src/base/hb_arena.c
  src/base/hb_budget.c
  src/base/hb_math.c
  src/base/hb_unicode_table.c
  src/base/os/cpu_features.c
  src/base/os/os_${HEARTH_OS}.c
  ${HEARTH_KERNEL_SOURCES}
  src/graph/graph.c
  src/graph/emit_experts.c
  src/graph/planner.c
  src/graph/bind.c
  src/graph/strip.c
  src/graph/math.c
  src/graph/interp.c
  src/graph/pool.c
  ${HEARTH_GRAPH_OPS})

if(HEARTH_OS STREQUAL "posix")
  list(APPEND HEARTH_SOURCES src/base/os/os_limits.c)
endif()

if(HEARTH_UTF8PROC)
  set(HEARTH_NORMALIZE_SOURCE src/tokenizer/hv_normalize_utf8proc.c)
else()
  set(HEARTH_NORMALIZE_SOURCE src/tokenizer/hv_normalize_none.c)
endif()
list(APPEND HEARTH_SOURCES
  src/tokenizer/hv_tokenizer.c
  src/tokenizer/hv_vocab.c
  src/tokenizer/hv_cache.c
  src/tokenizer/hv_words.c
  src/tokenizer/hv_alphabet.c
  src/tokenizer/hv_special.c
  src/tokenizer/hv_encode.c
  src/tokenizer/hv_decode.c
  src/tokenizer/hv_bpe.c
  src/tokenizer/hv_spm.c
  src/tokenizer/hv_wpm.c
  ${HEARTH_NORMALIZE_SOURCE}
  src/tokenizer/hv_pretok.c
  src/tokenizer/hv_scan_gpt.c
  src/tokenizer/hv_scan_cased.c
  src/tokenizer/hv_scan_split.c
  src/tokenizer/hv_scan_deepseek.c
  src/tokenizer/hv_prefix.c
  src/tokenizer/hv_added.c
  src/tokenizer/hv_unigram.c
  src/tokenizer/hv_charsmap.c
  src/tokenizer/hv_pipe_normal.c
  src/tokenizer/hv_pipe_split.c
  src/tokenizer/hv_pipe.c
  src/tokenizer/hv_vocab_txt.c)
list(APPEND HEARTH_SOURCES src/tokenizer/hv_chat.c src/tokenizer/hv_chatformats.c)
if(HEARTH_JINJA)
  list(APPEND HEARTH_SOURCES
    src/tokenizer/hv_jinja_lex.c
    src/tokenizer/hv_jinja_expr.c
    src/tokenizer/hv_jinja_parse.c
    src/tokenizer/hv_jinja_value.c
    src/tokenizer/hv_jinja_text.c
    src/tokenizer/hv_jinja_methods.c
    src/tokenizer/hv_jinja_filters.c
    src/tokenizer/hv_jinja_eval.c
    src/tokenizer/hv_jinja_exec.c)
else()
  list(APPEND HEARTH_SOURCES src/tokenizer/hv_jinja_none.c)
endif()
if(HEARTH_JSON)
  list(APPEND HEARTH_SOURCES
    src/tokenizer/hv_json.c
    src/tokenizer/hv_json_model.c
    src/tokenizer/hv_json_parts.c
    src/runtime/grammar_schema.c
    src/runtime/grammar_schema_text.c
    src/runtime/grammar_schema_values.c
    src/runtime/grammar_pattern.c
    src/runtime/labels_json.c)
else()
  list(APPEND HEARTH_SOURCES src/tokenizer/hv_json_none.c src/runtime/grammar_schema_none.c
    src/runtime/labels_none.c)
endif()

if(HEARTH_GGUF)
  file(GLOB hearth_archs_files RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/src/gguf/arch/arch_*.c")
  if(hearth_archs) # HearthLists.cmake
    list(JOIN hearth_archs "|" names)
    list(FILTER hearth_archs_files INCLUDE REGEX "arch_(${names})\\.c$")
  endif()
  list(APPEND HEARTH_SOURCES
    src/gguf/hg_open.c
    src/gguf/hg_read_meta.c
    src/gguf/hg_read_tensors.c
    src/gguf/hg_meta.c
    src/gguf/hg_types.c
    src/gguf/hg_sort.c
    src/gguf/hg_vocab.c
    src/gguf/hg_load.c
    src/gguf/hg_rope.c
    src/gguf/hg_build.c
    src/runtime/load_gguf.c
    ${hearth_archs_files})
endif()

list(APPEND HEARTH_SOURCES
  src/runtime/file.c
  src/runtime/memory.c
  src/runtime/model.c
  src/runtime/text.c
  src/runtime/chat.c
  src/runtime/grammar.c
  src/runtime/grammar_parse.c
  src/runtime/grammar_code.c
  src/runtime/grammar_check.c
  src/runtime/grammar_match.c
  src/runtime/grammar_mask.c
  src/runtime/tokenizer.c
  src/runtime/encoder.c
  src/runtime/kv.c
  src/runtime/kv_evict.c
  src/runtime/prefix.c
  src/runtime/kv_file.c
  src/runtime/fingerprint.c
  src/runtime/seq.c
  src/runtime/batch.c
  src/runtime/session.c
  src/runtime/step.c
  src/runtime/pools.c
  src/runtime/io.c
  src/runtime/sampler.c
  src/runtime/sampler_config.c
  src/runtime/sampler_history.c
  src/runtime/sampler_chain.c
  src/runtime/logprobs.c
  src/runtime/generation.c
  src/runtime/generation_text.c)

if(HEARTH_TENSORS)
  list(APPEND HEARTH_SOURCES src/runtime/infer.c src/runtime/plans.c)
else()
  list(APPEND HEARTH_SOURCES src/runtime/infer_none.c)
endif()

if(HEARTH_SPECULATION)
  list(APPEND HEARTH_SOURCES
    src/runtime/spec.c
    src/runtime/spec_draft.c
    src/runtime/spec_lookup.c)
else()
  list(APPEND HEARTH_SOURCES src/runtime/spec_none.c)
endif()

if(HEARTH_ONNX)
  file(GLOB hearth_onnx_ops RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/src/onnx/ops/onnx_*.c")
  # onnx.pb-c.c and .h from the messages in src/onnx/onnx.proto; not our code, so not our warnings
  set(hearth_pb ${PROJECT_BINARY_DIR}/generated/onnx)
  file(MAKE_DIRECTORY ${hearth_pb})
  add_custom_command(OUTPUT ${hearth_pb}/onnx.pb-c.c ${hearth_pb}/onnx.pb-c.h
    COMMAND ${HEARTH_PROTOC_C} --proto_path=${PROJECT_SOURCE_DIR}/src/onnx --c_out=${hearth_pb}
            ${PROJECT_SOURCE_DIR}/src/onnx/onnx.proto
    DEPENDS ${PROJECT_SOURCE_DIR}/src/onnx/onnx.proto)
  set_source_files_properties(${hearth_pb}/onnx.pb-c.c PROPERTIES COMPILE_OPTIONS -w)
  list(APPEND HEARTH_SOURCES
    ${hearth_pb}/onnx.pb-c.c
    src/onnx/hx_wire.c
    src/runtime/load_onnx.c
    src/onnx/hx_import.c
    src/onnx/hx_fuse.c
    src/onnx/hx_fuse_attention.c
    src/onnx/hx_fuse_qdq.c
    src/onnx/hx_ops.c
    ${hearth_onnx_ops}
    src/onnx/hx_types.c
    src/onnx/hx_tensor.c
    src/onnx/hx_load.c
    src/onnx/hx_check.c)
endif()

# The server: a library of its own, a client of the one above.
set(HEARTH_SERVE_SOURCES
  src/serve/control.c
  src/serve/landlock.c
  src/serve/ledger.c
  src/serve/probe.c
  src/serve/sandbox.c
  src/serve/engine.c
  src/serve/engine_jobs.c
  src/serve/engine_step.c
  src/serve/engine_submit.c
  src/serve/engine_grammar.c
  src/serve/engine_text.c
  src/serve/engine_text_run.c
  src/serve/cache.c
  src/serve/engine_encode.c
  src/serve/limits.c
  src/serve/auth.c
  src/serve/conn.c
  src/serve/conn_buffer.c
  src/serve/conn_message.c
  src/serve/listen.c
  src/serve/server.c
  src/serve/sched.c
  src/serve/seccomp.c
  src/serve/answer.c
  src/serve/guard.c
  src/serve/load.c
  src/serve/log.c
  src/serve/metrics.c
  src/serve/report.c
  src/serve/desk.c
  src/serve/models.c
  src/serve/supervisor.c
  src/serve/supervisor_conns.c
  src/serve/sha256.c
  src/serve/wire.c
  src/serve/wire_binary.c
  src/serve/wire_json.c
  src/serve/json_text.c)
if(HEARTH_JSON)
  list(APPEND HEARTH_SERVE_SOURCES src/serve/wire_json_read.c src/serve/manifest.c)
else()
  list(APPEND HEARTH_SERVE_SOURCES src/serve/wire_json_none.c src/serve/manifest_none.c)
endif()
if(HEARTH_UTF8PROC)
  list(APPEND HEARTH_SERVE_SOURCES src/serve/filter.c)
else()
  list(APPEND HEARTH_SERVE_SOURCES src/serve/filter_none.c)
endif()
if(HEARTH_HTTP)
  list(APPEND HEARTH_SERVE_SOURCES
    src/serve/http.c
    src/serve/http_library.c
    src/serve/http_request.c
    src/serve/http_inputs.c
    src/serve/http_answer.c)
else()
  list(APPEND HEARTH_SERVE_SOURCES src/serve/http_none.c)
endif()
