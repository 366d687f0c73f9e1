package coordinator

import (
	"fmt"
	"math"
	"strings"

	"github.com/gramme-project/gramme/internal/wire"
)

// book keeps account of the steps of a session: what is told to the ledger, and
// how fast they come. It is a value without clock or network.
type book struct {
	samples uint64 // of one step

	session string
	known   bool   // reported is
	last    uint64 // newest step
	told    uint64 // newest step that is in an event
	tokens  uint64 // of the steps after told
	newest  wire.Beat

	watched uint64 // tokens of all steps that it saw, of any session
	pace    pace
}

// stepsKey names the event of some steps. A leader that was not heard may have
// told the first of them: the last is part of the name, so that none is lost.
func stepsKey(session string, first, last uint64) string {
	return fmt.Sprintf("steps/%s/%d-%d", session, first, last)
}

// sessionOf returns the session of a key of stepsKey.
func sessionOf(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, "steps/")
	if !ok {
		return "", false
	}
	i := strings.LastIndexByte(rest, '/')
	return rest[:max(i, 0)], i > 0
}

// begin turns to another session.
func (b *book) begin(session string) {
	*b = book{samples: b.samples, session: session, watched: b.watched}
}

// from says that the steps up to one need not be told.
func (b *book) from(step uint64) { b.known, b.told, b.last = true, step, step }

// applied takes a heartbeat of a member.
func (b *book) applied(beat wire.Beat) {
	if beat.Tokens == 0 && !beat.Skipped {
		// It applied nothing yet; its step is that of the state that it took.
		if !b.known {
			b.from(beat.Step)
		}
		return
	}
	if beat.Step >= b.newest.Step {
		b.newest = beat
	}
	if !b.known {
		b.from(beat.Step)
	}
	if beat.Step <= b.last {
		return
	}
	fresh := beat.Step - b.last // one, unless heartbeats were lost: steps are alike
	b.last = beat.Step
	b.tokens += fresh * beat.Tokens
	b.watched += fresh * beat.Tokens
	b.pace.add(beat.Tokens, beat.StepSeconds)
}

// take returns the event of the steps that were not told, if there are any.
func (b *book) take() (wire.Event, bool) {
	if !b.known || b.last <= b.told {
		return wire.Event{}, false
	}
	e := wire.Event{
		Key: stepsKey(b.session, b.told+1, b.last), Kind: "steps", Generation: b.newest.Generation,
		FirstStep: b.told + 1, LastStep: b.last, Samples: (b.last - b.told) * b.samples, Tokens: b.tokens, Loss: b.newest.Loss,
	}
	b.told, b.tokens = b.last, 0
	return e, true
}

// memory is the time over which the pace is smoothed, in seconds.
const memory = 10

// pace is how fast steps come: an average that forgets.
type pace struct{ steps, tokens, seconds float64 }

func (p *pace) add(tokens uint64, seconds float64) {
	if seconds <= 0 {
		return // the first step of a worker: nothing to measure from
	}
	keep := math.Exp(-seconds / memory)
	p.steps = keep*p.steps + 1
	p.tokens = keep*p.tokens + float64(tokens)
	p.seconds = keep*p.seconds + seconds
}

func (p *pace) tokensPerSecond() float64 {
	if p.seconds == 0 {
		return 0
	}
	return p.tokens / p.seconds
}

func (p *pace) stepSeconds() float64 {
	if p.steps == 0 {
		return 0
	}
	return p.seconds / p.steps
}
