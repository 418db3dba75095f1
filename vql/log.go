package vql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"satchel/internal/flow"
)

// maxMessages bounds how many different messages are remembered to say each
// only once.
const maxMessages = 1000

// messages passes each message on once and counts its repetitions.
type messages struct {
	mu    sync.Mutex
	seen  map[messageKey]*repeated
	order []*repeated
}

type messageKey struct {
	level   flow.Level
	message string
}

type repeated struct {
	messageKey
	count int64
}

// first says whether the message is new. When too many are remembered, it
// forgets them all and returns those that were repeated.
func (m *messages) first(level flow.Level, message string) (isNew bool, forgotten []*repeated) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := messageKey{level, message}
	if r, found := m.seen[key]; found {
		r.count++
		return false, nil
	}
	if len(m.seen) >= maxMessages {
		forgotten = m.take()
	}
	if m.seen == nil {
		m.seen = make(map[messageKey]*repeated)
	}
	r := &repeated{key, 1}
	m.seen[key] = r
	m.order = append(m.order, r)
	return true, forgotten
}

// take forgets all messages and returns those that came more than once.
func (m *messages) take() []*repeated {
	out := slices.DeleteFunc(m.order, func(r *repeated) bool { return r.count < 2 })
	m.seen, m.order = nil, nil
	return out
}

// log writes a message unless the run has written it already.
func (r *run) log(level flow.Level, message string) {
	if r.options.Log == nil {
		return
	}
	isNew, forgotten := r.messages.first(level, message)
	r.logRepeated(forgotten)
	if isNew {
		r.logAlways(level, message)
	}
}

// logAlways writes a message.
func (r *run) logAlways(level flow.Level, message string) {
	if r.options.Log != nil {
		r.options.Log(flow.LogLine{Time: r.now(), Level: level, Source: r.request.Source, Message: message})
	}
}

func (r *run) logRepeated(messages []*repeated) {
	for _, m := range messages {
		r.logAlways(m.level, fmt.Sprintf("%s (said %d times)", m.message, m.count))
	}
}

// Write takes the messages of the evaluator: a level in front, then text. What
// is an error becomes one of the run.
func (r *run) Write(p []byte) (int, error) {
	level, text := splitLevel(strings.TrimSpace(string(p)))
	if kind, name, err := r.evaluatorError(text); err != nil {
		r.fail(kind, name, err)
	} else if text == "" || scopeDump.MatchString(text) {
		return len(p), nil // the name that is missing is told by the next message
	} else if level == flow.LevelError {
		r.fail(KindEngine, "", errors.New(text))
	} else {
		r.log(level, text)
	}
	return len(p), nil
}

func splitLevel(text string) (flow.Level, string) {
	for prefix, level := range map[string]flow.Level{
		"ERROR:": flow.LevelError, "WARN:": flow.LevelWarn, "INFO:": flow.LevelInfo,
		"DEBUG:": flow.LevelDebug, "ALERT:": flow.LevelAlert, "DEFAULT:": flow.LevelDefault,
	} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			return level, strings.TrimSpace(rest)
		}
	}
	return flow.LevelDefault, text
}

var (
	unknownSymbol = regexp.MustCompile(`(?s)^(?:While resolving (\S+) )?Symbol (.+?) not found\. Current Scope is (.*)$`)
	unknownPlugin = regexp.MustCompile(`(?s)^Plugin (\S+) not found\.(?: Did you mean| There is a VQL|$)`)
	scopeDump     = regexp.MustCompile(`(?s)^(?:While resolving \S+ )?Plugin \S+ not found\. Current Scope is`)
	extraArg      = regexp.MustCompile(`^Extra unrecognized arg (.+) when calling (.+)$`)
	missingArg    = regexp.MustCompile(`^Missing arg (.+) when calling (.+)$`)
	badRegexp     = regexp.MustCompile(`(?s)^Compile regexp: (.*)$`)
	notCallable   = regexp.MustCompile(`^Symbol (.+) is (?:not callable as a plugin|not a function but it is being called|a function but it is not being called)`)
	overflow      = regexp.MustCompile(`(?s)^Stack Overflow: (.*)$`)
	scopeName     = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

// evaluatorError recognizes the evaluator's messages about mistakes in the
// query. It returns a nil error for any other message.
func (r *run) evaluatorError(text string) (ErrorKind, string, error) {
	if m := unknownSymbol.FindStringSubmatch(text); m != nil {
		return r.unknownName(m[2], m[3])
	}
	if m := unknownPlugin.FindStringSubmatch(text); m != nil {
		return KindUnknown, m[1], r.unknownPlugin(m[1])
	}
	if m := extraArg.FindStringSubmatch(text); m != nil {
		return KindArgument, m[2], fmt.Errorf("unknown argument %s", m[1])
	}
	if m := missingArg.FindStringSubmatch(text); m != nil {
		return KindArgument, m[2], fmt.Errorf("argument %s is missing", m[1])
	}
	if m := badRegexp.FindStringSubmatch(text); m != nil {
		return KindArgument, "=~", errors.New(strings.TrimSpace(strings.Replace(m[1], "`(?i)", "`", 1)))
	}
	if m := notCallable.FindStringSubmatch(text); m != nil {
		return KindUnknown, m[1], errors.New(strings.TrimPrefix(text, "Symbol "+m[1]+" "))
	}
	if m := overflow.FindStringSubmatch(text); m != nil {
		return KindEngine, "", errors.New("calls nest deeper than 1000")
	}
	return "", "", nil
}

func (r *run) unknownPlugin(name string) error {
	_, isPlugin := r.set.plugins[name]
	_, isFunction := r.set.functions[name]
	switch {
	case isPlugin:
		return fmt.Errorf("there is no such variable, but a plugin: call it as %s()", name)
	case isFunction:
		return errors.New("there is no such plugin, but a function of that name")
	case strings.HasPrefix(name, "Artifact."):
		return errors.New("artifacts are not available here")
	}
	return fmt.Errorf("there is no such plugin%s", didYouMean(name, r.set.Plugins()))
}

func (r *run) unknownName(symbol, scope string) (ErrorKind, string, error) {
	name := unquoteSymbol(strings.TrimPrefix(symbol, "-"))
	if r.callsFunction(name) {
		message := "there is no such function" + didYouMean(name, r.set.Functions())
		if _, found := r.set.plugins[name]; found {
			message = "there is no such function, but a plugin of that name"
		}
		return KindUnknown, name, errors.New(message)
	}
	if _, found := r.set.functions[name]; found {
		return KindSymbol, name, fmt.Errorf("there is no such variable or column, but a function: call it as %s()", name)
	}
	return KindSymbol, name, fmt.Errorf("there is no such variable or column%s", didYouMean(name, scopeName.FindAllString(scope, 1000)))
}

// knowCalls remembers a text that was parsed, so that a message about a name
// can tell whether it was called.
func (r *run) knowCalls(texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range texts {
		if !r.texts[text] && len(r.texts) < maxParsed {
			r.texts[text] = true
			r.unseen = append(r.unseen, text)
		}
	}
}

// callsFunction says whether the run's statements call a function of that name.
// It parses them again, because those that run change under its eyes.
func (r *run) callsFunction(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.called == nil {
		r.called = make(map[string]bool)
	}
	for _, text := range r.unseen {
		statements, err := parse(text)
		if err != nil {
			continue // it was parsed before
		}
		for _, s := range statements {
			for _, c := range calls(s) {
				if c.Kind == "function" {
					r.called[c.Name] = true
				}
			}
		}
	}
	r.unseen = nil
	return r.called[name]
}
