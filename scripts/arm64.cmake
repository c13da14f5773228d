# CMake's toolchain file of the cross build for arm64 (scripts/cross-arm64.sh): this machine's clang, which can
# write for any processor, with the libraries of a directory with Debian's files for arm64 (ARM64_ROOT).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(ARM64_ROOT "" CACHE PATH "Directory with the files of Debian for arm64")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ARM64_ROOT)

set(triple aarch64-linux-gnu)
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_C_COMPILER_TARGET ${triple})
set(CMAKE_CXX_COMPILER_TARGET ${triple})
set(CMAKE_LIBRARY_ARCHITECTURE ${triple})
set(CMAKE_SYSROOT ${ARM64_ROOT})
# The guest sees the same libraries at their usual places.
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)

set(CMAKE_FIND_ROOT_PATH ${ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${ARM64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${ARM64_ROOT}/usr/lib/${triple}/pkgconfig:${ARM64_ROOT}/usr/share/pkgconfig)

# Tests cannot be asked for their names here.
set(CMAKE_GTEST_DISCOVER_TESTS_DISCOVERY_MODE PRE_TEST)
