#pragma once
// Catch2 version 2 (Debian 12) and 3 (later) differ in their headers alone, as far as the tests go.
#ifdef EK_CATCH3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
