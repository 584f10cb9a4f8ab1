// Run while the build is configured: the headers of ggml have no release in them.

#include <cstdio>

#include "release.h"

int main() { std::fputs(sightline::backend::running_release().c_str(), stdout); }
