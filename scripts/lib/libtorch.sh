# The folder $libtorch: torch/lib, torch/include, nvidia/, stubs/, compat.h, and
# last of all the file `ready`. It appears by one rename, so that an interrupted
# setup leaves none, and only one setup makes it at a time.

provide_libtorch() { # cuda from
	local cuda=$1 from=$2
	mkdir -p "$gramme_cache"
	exec 8>"$gramme_cache/libtorch.lock"
	if command -v flock >/dev/null && ! flock -n 8; then
		say "another setup is at work, waiting for it"
		flock 8
	fi
	if [ -n "$from" ]; then
		link_libtorch "$from"
	elif [ ! -e "$libtorch/ready" ] || { [ "$cuda" = yes ] && [ ! -e "$libtorch/cuda" ]; }; then
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
	local from staging="$libtorch.staging"
	from=$(cd "$1" 2>/dev/null && pwd) || fail "--libtorch $1: no such folder" ""
	for part in lib/libtorch_cpu.so include/ATen/ATen.h; do
		[ -e "$from/$part" ] || fail "--libtorch $1: no $part in it" "name the folder that holds lib and include, such as site-packages/torch"
	done
	grep -qsE "^#define TORCH_VERSION \"$torch_version" "$from/include/torch/csrc/api/include/torch/version.h" "$from/include/torch/headeronly/version.h" ||
		fail "--libtorch $1: not torch $torch_version" "without --libtorch the right one is fetched"
	say "using torch $torch_version in $from"
	rm -rf "$staging"
	mkdir -p "$staging"
	ln -s "$from" "$staging/torch"
	[ ! -d "$from/../nvidia" ] || ln -s "$(cd "$from/../nvidia" && pwd)" "$staging/nvidia"
	publish "$staging"
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
