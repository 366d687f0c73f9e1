# Compiles the commands into bin/.

# The sources of the commands.
sources=('*.go' '*.s' '*.cpp' '*.h' '*.hpp' go.mod go.sum)

# build_version names the sources in the working folder: two that differ in a byte
# have two names, with a commit of their own or without. Workers of one run are of
# one build.
build_version() {
	local version
	if [ -e .git ] && version=$(git describe --always --tags 2>/dev/null); then
		[ -n "$(git status --porcelain -- "${sources[@]}")" ] || { echo "$version" && return; }
		version+=-dirty
	else
		version=devel
	fi
	echo "$version-$(source_hash)"
}

source_hash() {
	local pattern find=(find . \( -name '.?*' -o -path ./bin -o -path ./runs \) -prune -o -type f \( -false)
	for pattern in "${sources[@]}"; do find+=(-o -name "$pattern"); done
	"${find[@]}" \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-12
}

build_commands() { # root
	cd "$1"
	local version flags
	version=$(build_version)
	flags="-X github.com/gramme-project/gramme/internal/buildinfo.Version=$version"
	mkdir -p bin
	say "building bin/gramme"
	CGO_ENABLED=0 go build -ldflags "$flags" -o bin/gramme ./cmd/gramme
	say "building bin/gramme-worker (the first time this compiles gotch against libtorch, which takes minutes)"
	(
		while IFS='=' read -r name value; do export "$name=$value"; done < <(build_environment)
		go build -ldflags "$flags" -o bin/gramme-worker ./cmd/gramme-worker
	)
	say "ready: bin/gramme and bin/gramme-worker, version $version"
}
