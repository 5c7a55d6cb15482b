# The connectivity model on simulated fleets: of the benchmark, and in short of the tests.
if(NOT TARGET bench_connectivity)
  set(FLEETS ${PROJECT_SOURCE_DIR}/tests/bench/connectivity)
  add_executable(bench_connectivity ${FLEETS}/fleets.c ${FLEETS}/witness.c ${FLEETS}/habits.c ${FLEETS}/kinds.c ${FLEETS}/chance.c
                 ${PROJECT_SOURCE_DIR}/tests/bench/options.c)
  target_link_libraries(bench_connectivity PRIVATE analysis_core)
  set_target_properties(bench_connectivity PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bench)
endif()
