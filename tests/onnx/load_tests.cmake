# The loader of ONNX files.
hearth_test(test_hx_load onnx/test_hx_load.c)
if(TARGET test_hx_load)
  target_include_directories(test_hx_load PRIVATE ${PROJECT_BINARY_DIR}/generated ${HEARTH_PROTOBUF_C_INCLUDE})
endif()
hearth_test(test_external onnx/test_external.c)
hearth_test(fuzz_onnx_load fuzz/fuzz_onnx_load.c)
if(TARGET fuzz_onnx_load)
  target_include_directories(fuzz_onnx_load PRIVATE ${PROJECT_BINARY_DIR}/generated ${HEARTH_PROTOBUF_C_INCLUDE})
endif()
if(NOT CMAKE_CROSSCOMPILING)
  hearth_program(bench_infer ../bench/bench_infer.c)
  target_compile_definitions(bench_infer PRIVATE _GNU_SOURCE)
endif()

# The backend cases through the command, and our own beside them.
if(TARGET hearth_command)
  hearth_python_test(onnx_backend tests/onnx/test_backend.py $<TARGET_FILE:hearth_command> 850)
endif()
