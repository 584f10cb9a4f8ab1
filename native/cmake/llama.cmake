# llama.cpp: shared libraries, and the headers of the same release.

set(RELEASE_FILE "${SIGHTLINE_LLAMA_HEADERS}/../RELEASE")
if(NOT EXISTS "${SIGHTLINE_LLAMA_HEADERS}/include/llama.h" OR NOT EXISTS "${RELEASE_FILE}")
  message(FATAL_ERROR "The headers of llama.cpp are not at ${SIGHTLINE_LLAMA_HEADERS}. Run: npm run build")
endif()
file(STRINGS "${RELEASE_FILE}" SIGHTLINE_LLAMA_RELEASE LIMIT_COUNT 1)

function(llama_library name pattern)
  file(GLOB found "${SIGHTLINE_LLAMA_LIBRARIES}/${pattern}")
  if(NOT found)
    message(FATAL_ERROR "No ${pattern} in ${SIGHTLINE_LLAMA_LIBRARIES}. Run: npm run build")
  endif()
  list(GET found 0 file)
  add_library(llama.cpp::${name} SHARED IMPORTED)
  set_target_properties(llama.cpp::${name} PROPERTIES IMPORTED_LOCATION "${file}" IMPORTED_IMPLIB "${file}")
  # As system headers: our warnings are for our code.
  target_include_directories(llama.cpp::${name} SYSTEM INTERFACE
    "${SIGHTLINE_LLAMA_HEADERS}/include"
    "${SIGHTLINE_LLAMA_HEADERS}/ggml/include"
    "${SIGHTLINE_LLAMA_HEADERS}/ggml/src")
endfunction()

if(WIN32)
  llama_library(base "libggml-base.dll.a")
  llama_library(ggml "libggml.dll.a")
  llama_library(llama "libllama.dll.a")
elseif(APPLE)
  llama_library(base "libggml-base*.dylib")
  llama_library(ggml "libggml.*dylib")
  llama_library(llama "libllama.*dylib")
else()
  llama_library(base "libggml-base*.so*")
  llama_library(ggml "libggml.*so*")
  llama_library(llama "libllama.*so*")
endif()
target_link_libraries(llama.cpp::ggml INTERFACE llama.cpp::base)
target_link_libraries(llama.cpp::llama INTERFACE llama.cpp::ggml)
