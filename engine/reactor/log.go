package reactor

import (
	"fmt"
	"log/slog"
)

// logger gives gnet's words to slog. What gnet says of a single connection is
// of no use to an operator, so all but its errors is debugging.
type logger struct{ log *slog.Logger }

func (l logger) Debugf(format string, args ...any) { l.log.Debug(l.text(format, args)) }
func (l logger) Infof(format string, args ...any)  { l.log.Debug(l.text(format, args)) }
func (l logger) Warnf(format string, args ...any)  { l.log.Debug(l.text(format, args)) }
func (l logger) Errorf(format string, args ...any) { l.log.Warn(l.text(format, args)) }
func (l logger) Fatalf(format string, args ...any) { l.log.Error(l.text(format, args)) }

func (logger) text(format string, args []any) string { return "gnet: " + fmt.Sprintf(format, args...) }
