# Sourced by every script that builds or runs something with libtorch: where
# libtorch is, and the flags. They stand here alone, because another flag means
# that gotch's C++ is compiled again, which takes minutes.

torch_version=2.11.0
gramme_cache="${XDG_CACHE_HOME:-$HOME/.cache}/gramme"
libtorch="$gramme_cache/libtorch-$torch_version"

# The libraries that gotch's link line names and that Gramme does without: each
# becomes an empty linker script. CUDA is loaded at run time, if at all.
stub_libraries="cuda cudart cublas cudnn caffe2_nvrtc nvrtc-builtins nvrtc nvToolsExt c10_cuda torch_cuda"

# has_libtorch says whether a set-up has finished, and the targets of its links are
# still there.
has_libtorch() { [ -e "$libtorch/ready" ] && [ -e "$libtorch/torch/lib/libtorch_cpu.so" ]; }

# build_environment prints NAME=VALUE lines.
build_environment() {
	local include="-I$libtorch/torch/include -I$libtorch/torch/include/torch/csrc/api/include"
	echo "CGO_ENABLED=1"
	echo "CGO_CFLAGS=-O2 $include"
	echo "CGO_CXXFLAGS=-O2 $include -D_GLIBCXX_USE_CXX11_ABI=1 -Wno-deprecated-declarations -include $libtorch/compat.h"
	echo "CGO_LDFLAGS=-O2 -Wl,--as-needed -L$libtorch/stubs -L$libtorch/torch/lib -Wl,-rpath-link,$libtorch/nvidia/cu13/lib -Wl,-rpath,$libtorch/torch/lib"
	echo "LIBRARY_PATH=$libtorch/stubs"
}
