# The Python of the benchmarks' peers.

# peers prints the Python of an environment with the newest torch and transformers,
# which the first call makes. One call makes it at a time.
peers() {
	local cache="${XDG_CACHE_HOME:-$HOME/.cache}/gramme"
	local venv="$cache/peers"
	if [ ! -e "$venv/ready" ]; then
		mkdir -p "$cache"
		exec 9>"$venv.lock"
		flock 9
		if [ ! -e "$venv/ready" ]; then
			say "fetching the newest torch and transformers into $venv" >&2
			python3 -m venv "$venv" &&
				"$venv/bin/python" -m pip install --quiet --disable-pip-version-check torch transformers >&2 &&
				touch "$venv/ready" || return 1
		fi
		exec 9>&-
	fi
	echo "$venv/bin/python"
}
