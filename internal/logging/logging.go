// Package logging makes the zap loggers of the processes.
package logging

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// timeLayout is ISO 8601 with date and zone: logs of several machines and days are read
// side by side. All of its digits are always there, so that lines stand in columns.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Config holds the user's choices.
type Config struct {
	Level  string // debug, info, warn or error
	Format string // console or json
}

// New returns a logger to standard error, which the parent of a process keeps in
// the run's logs folder.
func New(c Config, role, id string) (*zap.Logger, error) { return To("stderr", c, role, id) }

// To returns a logger to a file.
func To(path string, c Config, role, id string) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	cfg := zap.NewProductionConfig()
	if c.Format == "console" {
		cfg = zap.NewDevelopmentConfig()
		cfg.Development = false
		cfg.EncoderConfig.EncodeLevel = zapcore.LowercaseLevelEncoder
	}
	cfg.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout(timeLayout)
	cfg.Level = zap.NewAtomicLevelAt(level)
	cfg.DisableCaller, cfg.DisableStacktrace = true, true
	cfg.OutputPaths = []string{path}
	log, err := cfg.Build()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return log.With(zap.String("role", role), zap.String("id", id)), nil
}
