# The connectivity model on simulated fleets: of the benchmark, and in short of the tests.
if(NOT TARGET bench_connectivity)
  set(BENCH ${PROJECT_SOURCE_DIR}/tests/bench)
  add_executable(bench_connectivity ${BENCH}/connectivity.c ${BENCH}/witness.c ${BENCH}/habits.c ${BENCH}/kinds.c ${BENCH}/chance.c ${BENCH}/options.c)
  target_link_libraries(bench_connectivity PRIVATE analysis_core)
  set_target_properties(bench_connectivity PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bench)
endif()
