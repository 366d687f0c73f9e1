# The Python wheels that libtorch comes in. They are fetched by pip for the one
# kind of machine that they are unpacked for, whatever Python runs it; nothing of
# them is installed into a Python.

wheels_cpu="torch nvidia-cuda-runtime nvidia-cuda-cupti"

# wheel_pins prints NAME VERSION SHA-256 lines.
wheel_pins() {
	sed -e '/^#/d' -e '/^$/d' "$here/lib/wheels.txt"
}

# wheel_names prints what to fetch, with CUDA or without.
wheel_names() { # cuda
	if [ "$1" = yes ]; then wheel_pins | cut -d ' ' -f 1; else printf '%s\n' $wheels_cpu; fi
}

# fetch_wheel leaves the path of a verified wheel in $wheel. One that is in the
# folder already is used if its hash is right.
fetch_wheel() { # name folder
	local name=$1 folder=$2/$1 version hash
	read -r _ version hash < <(wheel_pins | grep "^$1 ")
	mkdir -p "$folder"
	wheel=$(find "$folder" -name '*.whl' | head -n 1)
	if [ -n "$wheel" ] && [ "$(sha256 "$wheel")" = "$hash" ]; then return; fi
	rm -rf "$folder"
	say "fetching $name $version"
	local quiet=''
	[ -t 1 ] || quiet='--progress-bar=off'
	python3 -m pip download $quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--python-version 3.12 --implementation cp --abi cp312 --abi none \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
		--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
		--dest "$folder" "$name==$version" ||
		fail "cannot fetch $name $version" "check the network; behind a mirror, set PIP_INDEX_URL; or give an installed torch: scripts/setup --libtorch DIR" 5
	wheel=$(find "$folder" -name '*.whl' | head -n 1)
	local got
	got=$(sha256 "$wheel")
	if [ "$got" != "$hash" ]; then
		rm -rf "$folder"
		fail "$name $version: SHA-256 is $got, not $hash" "the mirror serves another file than the pinned one" 4
	fi
}

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }
