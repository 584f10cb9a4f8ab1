// In front of each source file of llama.cpp for Windows: where a library names no function that it
// exports, the linker exports all, and of these the compiler's own would be defined twice.
__asm__(
    ".section .drectve,\"yn\"\n"
    ".ascii \" -exclude-symbols:atexit,_CRT_INIT,__mingw_module_is_dll\"\n"
    ".ascii \" -exclude-symbols:__unw_getcontext,unw_getcontext\"\n"
    ".text\n");
