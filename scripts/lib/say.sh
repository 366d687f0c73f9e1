# How the scripts speak: progress on standard output, errors with a hint on standard
# error.

say() { printf '%s\n' "$*"; }

# quoted prints a command that can be pasted into a shell.
quoted() { # word...
	local word line=''
	for word; do
		case $word in
			'' | *[!a-zA-Z0-9/:.,_+@%=-]*) word="'${word//\'/"'\\''"}'" ;;
		esac
		line+="${line:+ }$word"
	done
	printf '%s\n' "$line"
}

# fail ends the script, with 1 or another of the codes of docs/exit-codes.md.
fail() { # message hint [code]
	printf 'error: %s\n' "$1" >&2
	if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
	exit "${3:-1}"
}
