# Compiles the commands into bin/.

build_commands() { # root
	cd "$1"
	local version flags
	version=$(git describe --always --dirty --tags 2>/dev/null || echo devel)
	flags="-X github.com/gramme-project/gramme/internal/buildinfo.Version=$version"
	mkdir -p bin
	say "building bin/gramme"
	CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o bin/gramme ./cmd/gramme
	say "building bin/gramme-worker (the first time this compiles gotch against libtorch, which takes minutes)"
	(
		while IFS='=' read -r name value; do export "$name=$value"; done < <(build_environment)
		go build -ldflags "$flags" -o bin/gramme-worker ./cmd/gramme-worker
	)
	say "ready: bin/gramme and bin/gramme-worker, version $version"
}
