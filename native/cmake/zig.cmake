# Compiles for another system by Zig, which brings the C and C++ libraries of each.

set(ZIG "" CACHE PATH "The folder of the Zig compiler")
set(ZIG_TARGET "" CACHE STRING "What it compiles for, by its own names")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)
set(CMAKE_C_COMPILER "${ZIG}/zig" cc -target "${ZIG_TARGET}")
set(CMAKE_CXX_COMPILER "${ZIG}/zig" c++ -target "${ZIG_TARGET}")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  # Zig turns off by name what its baseline has not. Without this no function can have AVX-512.
  list(APPEND CMAKE_C_COMPILER -mcpu=x86_64+evex512)
  list(APPEND CMAKE_CXX_COMPILER -mcpu=x86_64+evex512)
endif()
# Without symbols: those of macOS name that folder too.
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-s")
set(CMAKE_AR "${ZIG}/ar")
set(CMAKE_RANLIB "${ZIG}/ranlib")

# What is known need not be found out by linking a program: Zig would build its C++ library for it.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_ID_RUN TRUE)
  set(CMAKE_${language}_COMPILER_ID Clang)
  set(CMAKE_${language}_COMPILER_FRONTEND_VARIANT GNU)
  set(CMAKE_${language}_COMPILER_VERSION 21.1)
  set(CMAKE_${language}_STANDARD_COMPUTED_DEFAULT 17)
  set(CMAKE_${language}_EXTENSIONS_COMPUTED_DEFAULT ON)
endforeach()
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  # Zig's C++ library has none of the marks that headers of macOS have on pointers.
  set(CMAKE_CXX_FLAGS_INIT "-Wno-nullability-completeness")
  # CMake knows this where it finds Apple's own tools.
  set(CMAKE_SHARED_LIBRARY_RUNTIME_CXX_FLAG "-Wl,-rpath,")
  # What a library calls itself: not by the folder that it was built in.
  set(CMAKE_BUILD_WITH_INSTALL_NAME_DIR ON)
  set(CMAKE_INSTALL_NAME_DIR "@rpath")
endif()
