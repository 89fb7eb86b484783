package main

import (
	"context"
	"io"
	"log/slog"
	"os"
)

// loggingFlags choose the form of the log, which goes to stderr.
type loggingFlags struct {
	LogFormat string `group:"logging" placeholder:"FORMAT" enum:"text,json" default:"text" help:"Form of the log on stderr, text or json (default: ${default})."`
	LogLevel  string `group:"logging" placeholder:"LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error; SIGUSR1 switches to debug and back (default: ${default})."`

	level slog.LevelVar
}

// logger returns the logger that the flags describe, writing to w, and makes it the
// process's. What libraries say through package log comes to it at debug level: net/http
// quotes there what a webhook's receiver sends unasked.
func (f *loggingFlags) logger(w io.Writer) (*slog.Logger, error) {
	if err := f.level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: &f.level}
	logger := slog.New(slog.NewTextHandler(w, options))
	if f.LogFormat == "json" {
		logger = slog.New(slog.NewJSONHandler(w, options))
	}
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(logger)
	return logger, nil
}

// switchOnSignal switches to debug and back for each signal, until ctx is done.
func (f *loggingFlags) switchOnSignal(ctx context.Context, signalC <-chan os.Signal, logger *slog.Logger) {
	var chosen slog.Level
	_ = chosen.UnmarshalText([]byte(f.LogLevel)) // logger has read it
	for {
		select {
		case <-ctx.Done():
			return
		case <-signalC:
			next := slog.LevelDebug
			if f.level.Level() == next {
				next = chosen
			}
			f.level.Set(min(next, slog.LevelInfo)) // so that the change itself is seen
			logger.Info("log level changed", "now", next.String())
			f.level.Set(next)
		}
	}
}
