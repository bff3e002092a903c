# The loader of ONNX files.
hearth_test(test_hx_load onnx/test_hx_load.c)
if(TARGET test_hx_load)
  target_include_directories(test_hx_load PRIVATE ${PROJECT_BINARY_DIR}/generated ${HEARTH_PROTOBUF_C_INCLUDE})
endif()
hearth_test(fuzz_onnx_load fuzz/fuzz_onnx_load.c)
if(TARGET fuzz_onnx_load)
  target_include_directories(fuzz_onnx_load PRIVATE ${PROJECT_BINARY_DIR}/generated ${HEARTH_PROTOBUF_C_INCLUDE})
endif()
