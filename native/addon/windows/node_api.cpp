// Node-API on Windows. What a library imports is looked for in a file whose name it was linked
// with, but Node-API is in the program that runs us: node.exe, Code.exe or another one. So each
// function here goes on to the one of its name in that program.

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace {

void* find(const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(nullptr), name));
}

}  // namespace

/// A jump leaves arguments and return address as they are.
#define FUNCTION(name)                                                   \
  extern "C" {                                                           \
  [[gnu::used]] void* in_program_##name = find(#name);                   \
  [[gnu::naked]] void name() { asm("jmp *in_program_" #name "(%rip)"); } \
  }
#include "node_api_functions.inc"
