package supervisor

import (
	"regexp"

	"github.com/gramme-project/gramme/internal/exit"
)

// resource is something that a machine may have too little of.
type resource string

const (
	none   resource = ""
	memory resource = "memory"
	tasks  resource = "processes or threads"
	files  resource = "open files"
	space  resource = "disk space"
	other  resource = "something" // the process says what
)

// scarceWords are the words of programs that could not have something. The system has one
// error for no memory in fork, and for no more tasks.
var scarceWords = []struct {
	lacks resource
	words *regexp.Regexp
}{
	{tasks, regexp.MustCompile(`(?i)(thread|fork|newosproc|clone|start).*(resource temporarily unavailable|errno=11)|failed to create new OS thread|pthread_create failed`)},
	{memory, regexp.MustCompile(`(?i)cannot allocate memory|out of memory|bad_alloc|not enough memory|failed to allocate`)},
	{files, regexp.MustCompile(`(?i)too many open files`)},
	{space, regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`)},
}

// lacked tells for want of which resource a process has ended, none where it was not
// that. OOM says that the kernel had killed one for want of memory.
func lacked(e exit.Ending, oom bool) resource {
	switch e.Manner {
	case exit.Killed:
		if oom {
			return memory
		}
	case exit.Crashed, exit.Reported:
		for _, w := range scarceWords {
			if w.words.MatchString(e.Words) {
				return w.lacks
			}
		}
		if e.Manner == exit.Reported && e.Report.Code == exit.Resource {
			return other
		}
	}
	return none
}
