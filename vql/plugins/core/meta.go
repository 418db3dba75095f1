package core

import (
	"context"
	"errors"
	"strings"
	"time"

	"satchel/internal/flow"
	"satchel/vql"
)

func metaList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("log", logFunction, vql.Impure(), vql.Doc("Writes a message into the log.")),
		vql.NewFunction("alert", alert, vql.Impure(), vql.FreeArgs(), vql.Doc("Writes an alert into the log.")),
		vql.NewFunction("version", version, vql.Doc("Tells whether a function or plugin is there: 1, else NULL.")),
	}
}

type logKey struct{}

type logArgs struct {
	Message string   `vql:"message,required"`
	Dedup   any      `vql:"dedup"` // seconds in which the message is not repeated; -1 always repeats it
	Args    vql.Lazy `vql:"args"`
	Level   string   `vql:"level"`
}

func logFunction(ctx context.Context, s *vql.Scope, a logArgs) (any, error) {
	period := int64(60)
	if n, ok := a.Dedup.(int64); ok {
		period = n
	}
	if !due(s, a.Message, period) {
		return true, nil
	}
	message := a.Message
	if a.Args.IsSet() {
		text, err := format(ctx, s, formatArgs{Format: a.Message, Args: a.Args})
		if err != nil {
			return nil, err
		}
		message = s.Text(text)
	}
	level := flow.Level(strings.ToUpper(a.Level))
	switch level {
	case flow.LevelDebug, flow.LevelInfo, flow.LevelWarn, flow.LevelError, flow.LevelAlert:
	default:
		level = flow.LevelDefault
	}
	s.LogAlways(level, message)
	return true, nil
}

// due says whether a message was not written within the period, and remembers
// that it is now.
func due(s *vql.Scope, message string, period int64) bool {
	if period < 0 {
		return true
	}
	seen, _ := s.Shared(logKey{}, func() any { return newLRU[time.Time](1000) }).(*lru[time.Time])
	last, found := seen.get(message)
	if found && s.Now().Sub(last) < time.Duration(period)*time.Second {
		return false
	}
	seen.put(message, s.Now())
	return true
}

type alertArgs struct {
	Name      string    `vql:"name,required"`
	Dedup     any       `vql:"dedup"` // seconds, 7200 if not given
	Condition vql.Lazy  `vql:"condition"`
	Data      *vql.Dict `vql:",rest"`
}

func alert(ctx context.Context, s *vql.Scope, a alertArgs) (any, error) {
	if a.Condition.IsSet() && !s.Truth(a.Condition.Value(ctx)) {
		return false, nil
	}
	period := int64(7200)
	if n, ok := a.Dedup.(int64); ok {
		period = n
	}
	if !due(s, "alert "+a.Name, period) {
		return false, nil
	}
	data := vql.NewDict()
	for key, v := range a.Data.All() {
		data.Set(key, s.Materialize(ctx, v))
	}
	record := vql.NewDict().Set("name", a.Name).Set("timestamp", s.Now()).Set("event_data", data)
	s.LogAlways(flow.LevelAlert, record.String())
	return true, nil
}

type versionArgs struct {
	Function string `vql:"function"`
	Plugin   string `vql:"plugin"`
}

func version(_ context.Context, s *vql.Scope, a versionArgs) (any, error) {
	switch {
	case a.Function == "" && a.Plugin == "":
		return nil, errors.New("needs function or plugin")
	case a.Function != "" && !s.HasFunction(a.Function), a.Plugin != "" && !s.HasPlugin(a.Plugin):
		return nil, nil
	}
	return int64(1), nil
}
