# Turns the SQL files into C arrays, so that the command carries its migrations with it.
#   cmake -DBOOTSTRAP=FILE "-DMIGRATIONS=FILE|FILE|…" -DOUTPUT=FILE -P embed.cmake
cmake_minimum_required(VERSION 3.25)

function(bytes_of file result)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REPEAT "0x..," 24 row)
  string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
  set(${result} "${bytes}" PARENT_SCOPE)
endfunction()

string(REPLACE "|" ";" MIGRATIONS "${MIGRATIONS}")
list(SORT MIGRATIONS)
bytes_of("${BOOTSTRAP}" bytes)
set(arrays "static const unsigned char bootstrap[] = {\n${bytes}0};\n")
set(rows "")
set(expected 1)
foreach(file IN LISTS MIGRATIONS)
  get_filename_component(name "${file}" NAME)
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+\\.sql$")
    message(FATAL_ERROR "${file}: a migration is named NNNN_words.sql")
  endif()
  math(EXPR number "${CMAKE_MATCH_1}")
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "${file}: expected migration number ${expected}")
  endif()
  math(EXPR expected "${expected} + 1")
  bytes_of("${file}" bytes)
  string(APPEND arrays "static const unsigned char migration_${number}[] = {\n${bytes}0};\n")
  string(APPEND rows "    {${number}, \"${name}\", (const char *)migration_${number}, sizeof migration_${number} - 1},\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made by cli/embed.cmake.
#include \"cli/embedded.h\"

${arrays}
const char *const embedded_bootstrap = (const char *)bootstrap;
const struct embedded_migration embedded_migrations[] = {
${rows}};
const size_t embedded_count = sizeof embedded_migrations / sizeof embedded_migrations[0];
")
