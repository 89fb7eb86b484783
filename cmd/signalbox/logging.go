package main

import (
	"io"
	"log/slog"
)

// loggingFlags choose the form of the log, which goes to stderr.
type loggingFlags struct {
	LogFormat string `group:"logging" placeholder:"FORMAT" enum:"text,json" default:"text" help:"Form of the log on stderr, text or json (default: ${default})."`
	LogLevel  string `group:"logging" placeholder:"LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error (default: ${default})."`
}

// logger returns the logger that the flags describe, writing to w.
func (f *loggingFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
