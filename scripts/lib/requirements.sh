# The requirements of the build: Go, a C++ compiler, and a Python with pip, which
# fetches libtorch. On Debian and Ubuntu, root installs missing packages with apt.

require_platform() {
	[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] && return
	fail "libtorch $torch_version is fetched for Linux on x86-64, this is $(uname -s) on $(uname -m)" \
		"everything but the worker builds here: CGO_ENABLED=0 go build -o bin/gramme ./cmd/gramme" 5
}

# missing_packages prints the Debian names of missing packages.
missing_packages() {
	command -v g++ >/dev/null && command -v gcc >/dev/null || echo g++
	if ! python3 -m pip --version >/dev/null 2>&1 && [ "${1:-fetch}" = fetch ]; then
		echo python3-pip
	fi
}

go_problem() {
	local want have
	want=$(sed -n 's/^go //p' "$here/../go.mod")
	if ! command -v go >/dev/null; then
		echo "Go $want or newer is missing"
	elif have=$(go env GOVERSION) && have=${have#go} && [ "$(printf '%s\n%s\n' "$want" "${have%%[!0-9.]*}" | sort -V | head -n 1)" != "$want" ]; then
		# From 1.21 on Go fetches a newer toolchain by itself unless told not to; an
		# older one knows no such setting.
		case $(go env GOTOOLCHAIN) in '' | local) echo "Go $want or newer is needed, this is $have" ;; esac
	fi
}

# needs_pip says whether libtorch is still to be fetched.
needs_pip() { if has_libtorch || [ -n "$from" ]; then echo cached; else echo fetch; fi; }

install_requirements() {
	local problem packages
	problem=$(go_problem)
	[ -z "$problem" ] || fail "$problem" "unpack the release of https://go.dev/dl and put its bin folder first in PATH; any Go from 1.21 on that is not told GOTOOLCHAIN=local fetches it by itself" 5
	packages=$(missing_packages "$(needs_pip)" | tr '\n' ' ')
	packages=${packages% }
	[ -n "$packages" ] || return 0
	local command="apt-get update && apt-get install -y $packages"
	if ! command -v apt-get >/dev/null; then
		fail "missing: $packages" "install a C++ compiler and pip for python3 with the system's package manager" 5
	elif [ "$(id -u)" != 0 ]; then
		fail "missing: $packages" "sudo sh -c '$command'" 5
	fi
	say "installing $packages"
	DEBIAN_FRONTEND=noninteractive sh -c "$command" >/dev/null || fail "cannot install $packages" "$command" 5
}

# check_requirements lists what is present, and fails if anything is missing.
check_requirements() {
	local problem missing=0 p
	problem=$(go_problem)
	if [ -n "$problem" ]; then
		say "missing   $problem"
		missing=1
	else
		say "there     Go"
	fi
	for p in $(missing_packages "$(needs_pip)"); do
		say "missing   $p"
		missing=1
	done
	if has_libtorch; then
		say "there     libtorch $torch_version in $libtorch"
	else
		say "missing   libtorch $torch_version in $libtorch"
		missing=1
	fi
	for p in gramme gramme-worker; do
		if [ -x "$here/../bin/$p" ]; then
			say "there     bin/$p"
		else
			say "missing   bin/$p"
			missing=1
		fi
	done
	[ "$missing" = 0 ] || say "run scripts/setup"
	return "$missing"
}
