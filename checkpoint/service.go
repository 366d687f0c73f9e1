package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// Config is what a service needs. All fields are required unless stated.
type Config struct {
	ID       string
	RunDir   string       // folder of the run, with its prepared corpus
	Spec     runspec.Spec // complete
	Bus      bus.Conn
	Log      *zap.Logger
	Software string // the name of this build, for ledger and manifests
	// Disk takes the changes of ledger and checkpoints; nil: that of the machine, from which
	// checkpoints are read in any case.
	Disk vfs.FS
}

// Service is an open checkpoint service.
type Service struct {
	cfg      Config
	log      *zap.Logger
	subjects wire.Subjects
	rule     replica.Rule
	cores    int
	ledger   *ledger.Log
	store    *store
	snapshot *snapshot // of the newest checkpoint
	newest   *saved    // nil before the first; the owner of the slices changes it
}

// Open opens the run's ledger and checkpoints, or makes them. It sets aside checkpoints
// that do not verify, and writes into the ledger from where the run resumes, and pending
// readings. The caller closes the service.
func Open(cfg Config) (s *Service, err error) {
	if cfg.Disk == nil {
		cfg.Disk = vfs.OS{}
	}
	dir := rundir.Dir(cfg.RunDir)
	if err := cfg.Spec.Complete(); err != nil {
		return nil, fmt.Errorf("open checkpoint service: %w", err)
	}
	corpus, err := shard.EncodeBundle(dir.Corpus())
	if err != nil {
		return nil, err
	}
	bundle, err := shard.DecodeBundle(corpus)
	if err != nil {
		return nil, err
	}
	s = &Service{cfg: cfg, log: cfg.Log, subjects: wire.SubjectsOf(cfg.Spec.Run), cores: min(4, runtime.NumCPU())}
	layout := model.NewLayout(cfg.Spec.ModelConfig(cfg.Spec.VocabSize))
	s.rule = cfg.Spec.Rule(layout)
	if err := s.rule.Validate(); err != nil {
		return nil, fmt.Errorf("open checkpoint service: %w", err)
	}
	s.snapshot = newSnapshot(layout)
	_, missing := os.Stat(filepath.Join(dir.Ledger(), "head"))
	if steps, err := Steps(cfg.RunDir); err != nil {
		return nil, err
	} else if missing != nil && len(steps) > 0 {
		return nil, &ledger.Fault{File: "ledger/head", Entry: -1, Reason: "the file is missing, but there are checkpoints"}
	}
	var signing SigningKey
	if s.ledger, signing, err = openLedger(cfg.Disk, dir, cfg.Spec, cfg.Software); err != nil {
		return nil, err
	}
	if signing.Handover != "" {
		s.log.Warn("another key signs the ledger from here on", zap.String("reason", signing.Handover))
	}
	if signing.InFolder != "" {
		s.log.Warn("the signing key lies in the run's folder", zap.String("reason", signing.InFolder))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.store = &store{
		disk: cfg.Disk, dir: dir.Checkpoints(), spec: cfg.Spec, layout: layout, tokenizer: bundle.Files,
		log: s.ledger, software: cfg.Software, now: time.Now,
	}
	if s.store.precision, err = runspec.ReadPrecisionChoice(dir.Precision()); err != nil {
		s.log.Warn("why the precision was chosen is not known", zap.Error(err)) // only told
	}
	found, ok, err := s.store.recoverFromCrash()
	if err != nil {
		return s, err
	}
	if ok {
		if err := s.adopt(found); err != nil {
			return s, err
		}
	}
	if missing == nil { // there was a ledger before
		if err := s.resume(); err != nil {
			return s, err
		}
	}
	s.ingestPending()
	return s, s.declareCarbon()
}

// adopt makes a checkpoint the newest one, which is served to workers that join.
func (s *Service) adopt(c saved) error {
	if err := s.snapshot.open(c); err != nil {
		return err
	}
	s.newest = &c
	return nil
}

// resume records a proof that the ledger as of the newest checkpoint is a prefix of the
// present one.
func (s *Service) resume() error {
	var from *ledger.Tree
	if s.newest != nil {
		from = &s.newest.head
	}
	return s.ledger.Resume(s.step(), from)
}

// declareCarbon records the factor that turns this run's energy into carbon, unless the
// ledger already has that one.
func (s *Service) declareCarbon() error {
	e := s.cfg.Spec.Energy
	f, err := energy.NewFactor(e.Country, e.Intensity, e.PUE)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("carbon/%s/%s/%g/%g/%d", f.Country, f.Origin, f.GramsPerKWh, f.PUE, f.Year)
	if s.ledger.Has(key) {
		// It may have been replaced by another since: the newest counts.
		key = fmt.Sprintf("%s/%d", key, s.ledger.Head().Size)
	}
	_, err = s.ledger.Append(ledger.Entry{Key: key, Carbon: &f})
	return err
}

// Close ingests the pending readings of processes that have ended, and releases the ledger
// and the checkpoint that was served.
func (s *Service) Close() error {
	var err error
	if s.ledger != nil {
		s.ingestPending()
		err = s.ledger.Close()
	}
	return errors.Join(err, s.snapshot.Close())
}

// Run serves until ctx ends, finishes the work in progress and returns nil. It returns an
// error when a checkpoint cannot be stored: after a restart the workers send it again.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	slices, stop, err := bus.Channel(s.cfg.Bus, 64, "", s.subjects.Slice())
	if err != nil {
		return err
	}
	defer stop()
	entries, stop, err := bus.Channel(s.cfg.Bus, 1024, "", s.subjects.Readings(), s.subjects.Events())
	if err != nil {
		return err
	}
	defer stop()
	asked, stop, err := bus.Channel(s.cfg.Bus, 256, "", s.subjects.SnapshotInfo(wire.IDCheckpoint), s.subjects.Snapshot(wire.IDCheckpoint))
	if err != nil {
		return err
	}
	defer stop()
	group.Go(func() error { return s.collect(ctx, slices) })
	group.Go(func() error { s.record(ctx, entries); return nil })
	group.Go(func() error { s.answer(ctx, asked); return nil })
	s.log.Info("ready", zap.Uint64("checkpoint", s.step()), zap.Int64("ledger", s.ledger.Head().Size))
	return group.Wait()
}

// step returns the step of the newest checkpoint.
func (s *Service) step() uint64 {
	if s.newest == nil {
		return 0
	}
	return s.newest.step
}

// reply answers a request with a result or an error.
func (s *Service) reply(m *bus.Message, result any, failure error) {
	if err := bus.Respond(m, result, failure); err != nil {
		s.log.Debug("reply", zap.Error(err))
	}
}
