package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// serving is a service of a run in a folder, with a bus of its own.
type serving struct {
	t     *testing.T
	dir   rundir.Dir
	spec  runspec.Spec
	bus   *membus.Server
	conn  *membus.Conn
	subj  wire.Subjects
	begun wire.Lineage // of the states that are sent

	service *Service
	stop    context.CancelFunc
	ended   chan error
}

func newServing(t *testing.T) *serving {
	t.Helper()
	s := &serving{t: t, dir: rundir.Dir(t.TempDir()), spec: smallSpec(t), bus: membus.New()}
	text := filepath.Join(t.TempDir(), "text.txt")
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "The cat number %d sat on the mat. It saw %d mice there.\n\n", i, i*i)
	}
	if err := os.WriteFile(text, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := shard.Prepare(t.Context(), shard.PrepareOptions{
		Inputs: []string{text}, OutDir: s.dir.Corpus(), VocabSize: s.spec.VocabSize, Lowercase: true, MaxSeq: s.spec.MaxSeq,
		ShardTokens: shard.DefaultShardTokens, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.spec.VocabSize = m.VocabSize
	if err := s.spec.Write(s.dir.Spec()); err != nil {
		t.Fatal(err)
	}
	s.conn, s.subj = s.dial(), wire.SubjectsOf(s.spec.Run)
	return s
}

func (s *serving) dial() *membus.Conn {
	c := s.bus.Connect("test")
	s.t.Cleanup(c.Close)
	return c
}

func (s *serving) config() Config {
	return Config{
		ID: "checkpoint", RunDir: string(s.dir), Spec: s.spec, Bus: s.dial(),
		Log: zaptest.NewLogger(s.t, zaptest.Level(zap.FatalLevel)), Software: "gramme test",
	}
}

// up starts the service, and down ends it and returns how Run ended.
func (s *serving) up() {
	s.t.Helper()
	var err error
	if s.service, err = Open(s.config()); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop, s.ended = cancel, make(chan error, 1)
	service, ended := s.service, s.ended
	go func() { ended <- service.Run(ctx) }()
	s.t.Cleanup(func() { cancel() })
	for end := time.Now().Add(5 * time.Minute); ; {
		if _, err := s.request(s.subj.SnapshotInfo(wire.IDCheckpoint), nil); !errors.Is(err, bus.ErrNoResponders) {
			return
		} else if time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
}

func (s *serving) down() error {
	s.t.Helper()
	s.stop()
	err := <-s.ended
	if err := s.service.Close(); err != nil {
		s.t.Error(err)
	}
	return err
}

func (s *serving) request(subject string, body any) (wire.Reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return wire.Reply{}, err
	}
	return s.send(&bus.Message{Subject: subject, Data: b})
}

func (s *serving) send(m *bus.Message) (reply wire.Reply, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	answer, err := s.conn.Request(ctx, *m)
	if err != nil {
		return reply, err
	}
	return reply, json.Unmarshal(answer.Data, &reply)
}

// chunks cuts a state as `world` workers would send it, by rank.
func (s *serving) chunks(state *replica.State, digest string, world int) [][]*bus.Message {
	s.t.Helper()
	meta, err := state.EncodeMeta()
	if err != nil {
		s.t.Fatal(err)
	}
	all := make([][]*bus.Message, world)
	total, length := len(state.Weights), 200
	for rank := range world {
		first, end := total*rank/world, total*(rank+1)/world
		for part, flat := range map[string][]float32{wire.PartWeights: state.Weights, wire.PartMoment1: state.Moment1, wire.PartMoment2: state.Moment2} {
			for at := first; at < end; at += length {
				data := flat[at:min(at+length, end)]
				h := wire.SliceHeader{
					Step: state.Step, Rank: rank, World: world, Part: part, Offset: at, Count: len(data), First: first, End: end,
				}
				if rank == 0 && part == wire.PartWeights && at == first {
					h.Meta, h.Digest, h.Lineage = meta, digest, s.begun
				}
				all[rank] = append(all[rank], chunk(s.t, s.subj, h, replica.Bytes(data)))
			}
		}
	}
	return all
}

func chunk(t *testing.T, subjects wire.Subjects, h wire.SliceHeader, data []byte) *bus.Message {
	t.Helper()
	text, err := wire.Encode(h)
	if err != nil {
		t.Fatal(err)
	}
	return &bus.Message{
		Subject: subjects.Slice(), Data: data,
		Header: map[string]string{wire.HeaderSlice: string(text), wire.HeaderCRC: transfer.Checksum(data)},
	}
}

// store sends a state and waits until the service announces it.
func (s *serving) store(step uint64, world int) *replica.State {
	s.t.Helper()
	state, digest := stateAt(s.t, s.spec, step)
	committed, stop, err := bus.Channel(s.conn, 64, "", s.subj.Committed())
	if err != nil {
		s.t.Fatal(err)
	}
	defer stop()
	messages := slices.Concat(s.chunks(state, digest, world)...)
	r := rand.New(rand.NewPCG(step, 2))
	messages = append(messages, messages[r.IntN(len(messages))]) // one comes twice
	r.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	for _, m := range messages {
		if reply, err := s.send(m); err != nil || reply.Error != "" {
			s.t.Fatalf("chunk: %v %s", err, reply.Error)
		}
	}
	for late := time.After(5 * time.Minute); ; {
		var m *bus.Message
		select {
		case m = <-committed:
		case <-late:
			s.t.Fatalf("step %d is not announced", step)
		}
		var c wire.Committed
		if err := json.Unmarshal(m.Data, &c); err != nil {
			s.t.Fatal(err)
		}
		if c.Step == step {
			return state
		}
	}
}

// fetch brings the newest state as a worker that joins does.
func (s *serving) fetch() (wire.SnapshotInfo, *replica.State) {
	s.t.Helper()
	reply, err := s.request(s.subj.SnapshotInfo(wire.IDCheckpoint), nil)
	if err != nil || reply.Error != "" {
		s.t.Fatal(err, reply.Error)
	}
	var info wire.SnapshotInfo
	if err := json.Unmarshal(reply.Result, &info); err != nil {
		s.t.Fatal(err)
	}
	if !info.Found {
		return info, nil
	}
	state := &replica.State{}
	for part, to := range map[string]*[]float32{wire.PartWeights: &state.Weights, wire.PartMoment1: &state.Moment1, wire.PartMoment2: &state.Moment2} {
		*to = make([]float32, info.Elements)
		b := replica.Bytes(*to)
		for at := 0; at < len(b); at += 1000 {
			r := wire.Range{Name: part, Step: info.Step, Offset: int64(at), Length: min(1000, len(b)-at)}
			data, total, err := transfer.Fetch(s.t.Context(), s.conn, s.subj.Snapshot(wire.IDCheckpoint), r)
			if err != nil || total != int64(len(b)) || len(data) != r.Length {
				s.t.Fatalf("%+v: %d of %d bytes, %v", r, len(data), total, err)
			}
			copy(b[at:], data)
		}
	}
	if state.Meta, err = replica.DecodeMeta(s.service.rule, info.Meta); err != nil {
		s.t.Fatal(err)
	}
	return info, state
}

func same(t *testing.T, got, want *replica.State) {
	t.Helper()
	a, err := replica.Digest(got, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := replica.Digest(want, 1); err != nil || a != b {
		t.Errorf("digest %s, want %s: %v", a, b, err)
	}
}

func (s *serving) audit() *Report {
	s.t.Helper()
	r, err := Audit(string(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestWhatWorkersSendIsStoredAndServed(t *testing.T) {
	s := newServing(t)
	s.up()
	if info, _ := s.fetch(); info.Found {
		t.Fatalf("%+v before anything was stored", info)
	}
	for i, world := range []int{1, 3, 2, 5} {
		want := s.store(uint64(10*(i+1)), world)
		info, got := s.fetch()
		if info.Step != want.Step {
			t.Fatalf("step %d is served, %d was stored", info.Step, want.Step)
		}
		same(t, got, want)
	}
	if steps, err := Steps(string(s.dir)); err != nil || !slices.Equal(steps, []uint64{20, 30, 40}) {
		t.Errorf("steps %v stand, %v", steps, err)
	}
	_, _, weights, err := ReadModel(filepath.Join(s.dir.Checkpoints(), "latest"))
	if want, _ := stateAt(t, s.spec, 40); err != nil || !slices.Equal(weights, want.Weights) {
		t.Errorf("the model is not the newest state: %v", err)
	}
	if err := s.down(); err != nil {
		t.Error(err)
	}
	if r := s.audit(); len(r.Checkpoints) != 3 || len(r.Account.Checkpoints) != 4 || r.Account.Carbon == nil {
		t.Errorf("report %+v", r)
	}
}

func TestEqualStatesGiveEqualFiles(t *testing.T) {
	var files [2][]byte
	for i := range files {
		s := newServing(t)
		s.up()
		s.store(30, 1+2*i)
		if err := s.down(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{modelFile, optimizerFile, stateFile, configFile} {
			b, err := os.ReadFile(filepath.Join(s.dir.Checkpoints(), "latest", name))
			if err != nil {
				t.Fatal(err)
			}
			files[i] = append(files[i], b...)
		}
	}
	if !slices.Equal(files[0], files[1]) {
		t.Error("two runs with one state wrote different files")
	}
}

func TestChunksThatAreNotTaken(t *testing.T) {
	s := newServing(t)
	s.up()
	state, digest := stateAt(t, s.spec, 10)
	all := s.chunks(state, digest, 1)[0]
	for name, m := range map[string]*bus.Message{
		"checksum":      func() *bus.Message { m := *all[0]; m.Data = slices.Clone(m.Data); m.Data[3] ^= 1; return &m }(),
		"no header":     {Subject: s.subj.Slice(), Data: []byte("x")},
		"unknown part":  chunk(t, s.subj, wire.SliceHeader{Step: 10, Part: "moment3", Count: 1}, make([]byte, 4)),
		"behind end":    chunk(t, s.subj, wire.SliceHeader{Step: 10, Part: wire.PartWeights, Offset: len(state.Weights), Count: 1}, make([]byte, 4)),
		"negative":      chunk(t, s.subj, wire.SliceHeader{Step: 10, Part: wire.PartWeights, Offset: -1, Count: 1}, make([]byte, 4)),
		"other length":  chunk(t, s.subj, wire.SliceHeader{Step: 10, Part: wire.PartWeights, Count: 2}, make([]byte, 4)),
		"after the end": chunk(t, s.subj, wire.SliceHeader{Step: 101, Part: wire.PartWeights, Count: 1}, make([]byte, 4)),
	} {
		if reply, err := s.send(m); err != nil || reply.Error == "" {
			t.Errorf("%s: taken, %v", name, err)
		}
	}
	// Slices of two different states of one step.
	other, _ := stateAt(t, s.spec, 11)
	other.Step = 10
	for _, m := range append(s.chunks(state, digest, 2)[0], s.chunks(other, "", 2)[1]...) {
		if _, err := s.send(m); err != nil {
			t.Fatal(err)
		}
	}
	if info, _ := s.fetch(); info.Found {
		t.Error("slices of different states were stored")
	}
	s.store(20, 2)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	if notes := s.audit().Account.Notes; len(notes) != 1 || !strings.Contains(notes[0].Text, "slices of different states") {
		t.Errorf("notes %+v", notes)
	}
}

// TestReplicasThatDifferAreAskedToCompare has members whose last slices make no
// state, and that send them again and again, as at the end of a run.
func TestReplicasThatDifferAreAskedToCompare(t *testing.T) {
	s := newServing(t)
	s.up()
	suspicions, stop, err := bus.Channel(s.conn, 64, "", s.subj.Suspect())
	if err != nil {
		t.Fatal(err)
	}
	state, digest := stateAt(t, s.spec, 10)
	other, _ := stateAt(t, s.spec, 11)
	other.Step = 10
	send := func(first, second uint64, other *replica.State) {
		for i, generation := range []uint64{first, second} {
			half := s.chunks(state, digest, 2)[0]
			if i == 1 {
				half = s.chunks(other, "", 2)[1]
			}
			for _, m := range half {
				var h wire.SliceHeader
				if err := json.Unmarshal([]byte(m.Header[wire.HeaderSlice]), &h); err != nil {
					t.Fatal(err)
				}
				h.Generation, h.Final = generation, true
				if reply, err := s.send(chunk(t, s.subj, h, m.Data)); err != nil || reply.Error != "" {
					t.Fatalf("chunk: %v %s", err, reply.Error)
				}
			}
		}
	}
	for range 4 {
		send(7, 7, other)
	}
	send(7, 8, other) // a lost worker may have had another state: the next slices tell
	for generation := uint64(8); generation < 12; generation++ {
		send(generation, generation, other)
	}
	if info, _ := s.fetch(); info.Found {
		t.Error("slices of different states were stored")
	}
	send(12, 12, state)
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		if info, _ := s.fetch(); info.Found {
			break
		} else if time.Now().After(end) {
			t.Fatal("the state of all is not stored")
		}
	}
	var asked []uint64
	if err := bus.Publish(s.conn, s.subj.Suspect(), wire.Suspicion{}); err != nil { // all were sent before the checkpoint stood
		t.Fatal(err)
	}
	defer stop()
	for m := range suspicions {
		var got wire.Suspicion
		if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatal(err)
		}
		if got.From == "" {
			break
		}
		if got.From != wire.IDCheckpoint || got.Subject != "" || !strings.Contains(string(got.Evidence), "not equal after step 10") {
			t.Errorf("%+v", got)
		}
		asked = append(asked, got.Generation)
	}
	if want := []uint64{7, 7, 7, 7, 8, 9}; !slices.Equal(asked, want) {
		t.Errorf("generations %v are asked to compare, want %v", asked, want)
	}
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	if notes := s.audit().Account.Notes; len(notes) != 5 || notes[0].Kind != string(wire.EventReplicaDiffers) || notes[0].Step != 10 || notes[0].Generation != 7 {
		t.Errorf("%d notes %+v", len(notes), notes)
	}
}

func TestReadingsAndEventsCountOnce(t *testing.T) {
	s := newServing(t)
	s.up()
	reading := func(seq uint64, run string) energy.Record {
		return energy.Record{Reading: &energy.Reading{
			Source: energy.Source{Run: run, Worker: "w1", Incarnation: "a", Host: "h", Meter: "cpu", Kind: "cpu", Seq: seq},
			Method: energy.Counter, Scope: energy.Process, Unit: "uJ", RawEnd: 5, Num: 1, Den: 1, MicroJ: 5,
			Parts: []energy.Part{{Phase: energy.Compute, MicroJ: 5}},
		}}
	}
	event := wire.Event{Key: "m/1", Kind: wire.EventMembership, Generation: 1, Members: []string{"w1"}, Reason: "start"}
	for range 3 {
		for subject, body := range map[string]any{
			s.subj.Readings(): []energy.Record{reading(1, "test"), reading(2, "test")},
			s.subj.Events():   []wire.Event{event},
		} {
			if reply, err := s.request(subject, body); err != nil || reply.Error != "" {
				t.Fatal(err, reply.Error)
			}
		}
	}
	// What can never be taken must not come again for ever.
	if reply, err := s.request(s.subj.Readings(), []energy.Record{reading(3, "another run"), reading(3, "test")}); err != nil || reply.Error != "" {
		t.Fatal(err, reply.Error)
	}
	for _, body := range []any{"no list", []wire.Event{{Kind: "unheard of"}}} {
		if reply, err := s.request(s.subj.Events(), body); err != nil || reply.Error == "" {
			t.Errorf("%v was taken: %v", body, err)
		}
	}
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	a := s.audit().Account
	if a.Total != 15 || a.Memberships != 1 || len(a.Notes) != 1 {
		t.Errorf("%d µJ, %d memberships, notes %v", a.Total, a.Memberships, a.Notes)
	}
}

func TestAServiceThatComesAgainProvesItsLedger(t *testing.T) {
	s := newServing(t)
	s.up()
	want := s.store(10, 2)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	s.up()
	info, got := s.fetch()
	if info.Step != 10 {
		t.Fatalf("step %d is served", info.Step)
	}
	same(t, got, want)
	s.store(20, 1)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	a := s.audit().Account
	if len(a.Resumes) != 1 || a.Resumes[0].Step != 10 || a.Resumes[0].From == nil {
		t.Errorf("resumes %+v", a.Resumes)
	}
}

// TestTheLedgerCountsTheStepsOfCheckpoints wants every step once, with the samples
// and tokens that the replicas counted, whichever process was restarted in between.
func TestTheLedgerCountsTheStepsOfCheckpoints(t *testing.T) {
	s := newServing(t)
	for i, step := range []uint64{0, 10, 25, 26} {
		if i%2 == 0 {
			s.up()
		}
		s.store(step, 2)
		if i%2 == 1 {
			if err := s.down(); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := s.audit().Account
	want, _ := stateAt(t, s.spec, 26)
	if a.Steps != 26 || a.Repeated != 0 || a.Samples != want.Samples || a.Tokens != want.Tokens {
		t.Errorf("%d steps, %d again, %d samples, %d tokens; the state has %+v", a.Steps, a.Repeated, a.Samples, a.Tokens, want.Meta)
	}
}

func TestADamagedCheckpointIsSetAside(t *testing.T) {
	s := newServing(t)
	s.up()
	want := s.store(10, 1)
	s.store(20, 1)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir.Checkpoints(), "latest", optimizerFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Audit(string(s.dir)); err == nil || !strings.Contains(err.Error(), "step-0000000020/optimizer.safetensors") {
		t.Errorf("the audit says %v", err)
	}
	s.up()
	info, got := s.fetch()
	if info.Step != 10 {
		t.Fatalf("step %d is served", info.Step)
	}
	same(t, got, want)
	s.store(20, 2) // trained once more
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	r := s.audit()
	if r.Account.Steps != 20 || r.Account.Repeated != 10 {
		t.Errorf("%d steps, %d again", r.Account.Steps, r.Account.Repeated)
	}
	if len(r.SetAside) != 1 || len(r.Account.Notes) != 1 || !strings.Contains(r.Account.Notes[0].Text, "optimizer.safetensors") {
		t.Errorf("set aside %v, notes %+v", r.SetAside, r.Account.Notes)
	}
}

// fullDisk has no room for the tensors.
type fullDisk struct{ vfs.OS }

type fullFile struct{ vfs.File }

func (d fullDisk) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := d.OS.OpenFile(path, flag, perm)
	if filepath.Base(path) == modelFile {
		return fullFile{f}, err
	}
	return f, err
}

func (fullFile) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestAFullDiskEndsTheServiceAndLosesNothing(t *testing.T) {
	s := newServing(t)
	s.up()
	s.store(10, 1)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	s.up()
	s.service.store.disk = fullDisk{}
	state, digest := stateAt(t, s.spec, 20)
	for _, m := range s.chunks(state, digest, 1)[0] {
		if _, err := s.send(m); err != nil {
			break // it has ended
		}
	}
	err := <-s.ended
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("ended with %v", err)
	}
	s.ended <- nil
	if err := s.down(); err != nil {
		t.Error(err)
	}
	if r := s.audit(); len(r.Checkpoints) != 1 || r.Checkpoints[0].Step != 10 {
		t.Errorf("%+v", r.Checkpoints)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir.Checkpoints(), ".*")); len(left) > 0 {
		t.Errorf("%v take up space", left)
	}
	s.up()
	s.store(20, 1)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
}
