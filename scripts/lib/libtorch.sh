# The folder $libtorch: torch/lib, torch/include, nvidia/, stubs/, compat.h, and
# last of all the file `ready`. It appears by one rename, so that an interrupted
# setup leaves none; only one setup at a time makes it.

provide_libtorch() { # cuda from
	local cuda=$1 from=$2
	mkdir -p "$gramme_cache"
	exec 8>"$gramme_cache/libtorch.lock"
	if command -v flock >/dev/null && ! flock -n 8; then
		say "waiting for another setup"
		flock 8
	fi
	if [ -n "$from" ]; then
		link_libtorch "$from"
	elif ! has_libtorch || { [ "$cuda" = yes ] && [ ! -e "$libtorch/cuda" ]; }; then
		fetch_libtorch "$cuda"
	fi
	# compat.h may be newer than the folder.
	cmp -s "$here/lib/compat.h" "$libtorch/compat.h" || cp "$here/lib/compat.h" "$libtorch/compat.h"
	exec 8>&-
}

fetch_libtorch() { # cuda
	local cuda=$1 downloads="$gramme_cache/downloads" staging="$libtorch.staging" name
	rm -rf "$staging"
	mkdir -p "$staging" "$downloads"
	for name in $(wheel_names "$cuda"); do
		fetch_wheel "$name" "$downloads"
		say "unpacking $(basename "$wheel")"
		unpack_wheel "$wheel" "$staging" "$cuda"
	done
	[ "$cuda" = no ] || touch "$staging/cuda"
	publish "$staging"
	rm -rf "$downloads"
}

# unpack_wheel leaves out Python's side and, on a CPU, half a gigabyte of CUDA.
unpack_wheel() { # wheel folder cuda
	python3 - "$@" <<'PYTHON'
import sys, zipfile
wheel, folder, cuda = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        if not name.startswith(("torch/lib/", "torch/include/", "torch/version.py", "nvidia/")):
            continue
        if name.startswith("torch/lib/libtorch_python") or name.endswith(".py") and name.startswith("nvidia/"):
            continue
        if cuda == "no" and name.startswith(("torch/lib/libtorch_cuda", "torch/lib/libtorch_nvshmem")):
            continue
        z.extract(name, folder)
PYTHON
}

# link_libtorch makes the folder of links into a torch that is there already.
link_libtorch() { # from
	local from part staging="$libtorch.staging"
	from=$(cd "$1" 2>/dev/null && pwd -P) || fail "--libtorch $1: no such folder" "name the folder that holds lib and include, such as site-packages/torch" 2
	case $from/ in
	"$(cd "$gramme_cache" && pwd -P)"/libtorch-*)
		fail "--libtorch $1: this is the folder that the set-up makes" "leave out --libtorch to use it" 2
		;;
	esac
	for part in lib/libtorch_cpu.so include/ATen/ATen.h; do
		[ -e "$from/$part" ] || fail "--libtorch $1: no $part in it" "name the folder that holds lib and include, such as site-packages/torch" 2
	done
	local found
	found=$(header_version "$from/include") || true
	[ "$found" = "$torch_version" ] ||
		fail "--libtorch $1: it is torch ${found:-of another release}, not $torch_version" "without --libtorch the right one is fetched" 2
	say "using torch $torch_version in $from"
	rm -rf "$staging"
	mkdir -p "$staging"
	ln -s "$from" "$staging/torch"
	[ ! -d "$from/../nvidia" ] || ln -s "$(cd "$from/../nvidia" && pwd)" "$staging/nvidia"
	publish "$staging"
}

# header_version prints the version that the headers of a torch give, such as 2.11.0.
header_version() { # include
	sed -nE 's/^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) +//p' "$1/torch/headeronly/version.h" 2>/dev/null | paste -sd .
}

# publish adds what every libtorch needs here and puts the folder in its place.
publish() { # staging
	local staging=$1 name
	mkdir -p "$staging/stubs"
	for name in $stub_libraries; do
		echo "/* empty: Gramme does not need this library to link */" >"$staging/stubs/lib$name.so"
	done
	cp "$here/lib/compat.h" "$staging/compat.h"
	touch "$staging/ready"
	rm -rf "$libtorch"
	mv "$staging" "$libtorch"
}
