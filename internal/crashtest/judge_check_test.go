package crashtest

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestJudge holds the judge to its word: each kind of loss and of invention is
// found.
func TestJudge(t *testing.T) {
	t.Parallel()
	dead := time.Now()
	name := fileName("small", 1, 100)
	whole := func() *evidence {
		return &evidence{rows: map[string]int64{"S": 10}, logs: 3, files: map[string]file{name: {100, true}, "endless.x": {50, false}}}
	}
	old := dead.Add(-2 * time.Second)
	facts := []fact{{"rows", "S", 10, old}, {"log", "-", 3, old}, {"file", name, 100, old}, {"part", "endless.x", 50, old}}
	if err := judge(facts, whole(), dead, time.Second); err != nil {
		t.Errorf("all is there: %v", err)
	}
	losses := map[string]func(*evidence){
		"a row":    func(e *evidence) { e.rows["S"] = 9 },
		"a source": func(e *evidence) { delete(e.rows, "S") },
		"a log":    func(e *evidence) { e.logs = 2 },
		"a file":   func(e *evidence) { delete(e.files, name) },
		"its end":  func(e *evidence) { e.files[name] = file{99, false} },
		"a part":   func(e *evidence) { e.files["endless.x"] = file{49, false} },
	}
	for what, lose := range losses {
		e := whole()
		lose(e)
		if judge(facts, e, dead, time.Second) == nil {
			t.Errorf("the loss of %s was not found", what)
		}
		if err := judge(facts, e, old.Add(time.Second/2), time.Second); err != nil {
			t.Errorf("the loss of %s within the promise was held against it: %v", what, err)
		}
	}
}

func TestEvidenceRefusesInventions(t *testing.T) {
	t.Parallel()
	dead := time.Now()
	rows := map[string]string{
		"a gap":       "{\"Seq\":1,\"Made\":5}\n{\"Seq\":3,\"Made\":6}\n",
		"twice":       "{\"Seq\":1,\"Made\":5}\n{\"Seq\":1,\"Made\":5}\n",
		"not from 1":  "{\"Seq\":2,\"Made\":5}\n",
		"time":        "{\"Seq\":1,\"Made\":5}\n{\"Seq\":2,\"Made\":4}\n",
		"half a line": "{\"Seq\":1,\"Made\":5}\n{\"Seq\":2,",
	}
	for what, text := range rows {
		if newEvidence().addRows("S", strings.NewReader(text), dead) == nil {
			t.Errorf("rows with %s were taken", what)
		}
	}
	name := fileName("small", 1, 100)
	good, err := io.ReadAll(io.LimitReader(content(name), 200))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]struct {
		name  string
		data  []byte
		whole bool
	}{
		"wrong bytes":     {name, []byte("something else"), false},
		"too long":        {name, good[:101], false},
		"not whole":       {name, good[:99], true},
		"a stranger":      {"passwd", nil, true},
		"an endless file": {"endless.x", nil, true},
	}
	for what, f := range files {
		if newEvidence().addFile("/crash/"+f.name, f.whole, strings.NewReader(string(f.data))) == nil {
			t.Errorf("%s: taken", what)
		}
	}
	e := newEvidence()
	if err := e.addFile("/crash/"+name, true, strings.NewReader(string(good[:100]))); err != nil {
		t.Error(err)
	}
	if e.addFile("/crash/"+name, true, strings.NewReader(string(good[:100]))) == nil {
		t.Error("the same file was taken twice")
	}
	if err := e.addLog("log 2"); err == nil {
		t.Error("a gap in the log was taken")
	}
}

func TestFactsSurviveACut(t *testing.T) {
	t.Parallel()
	var pipe strings.Builder
	w := &witness{pipe: &pipe}
	w.saw("rows", "S", 7)
	w.saw("file", "f", 9)
	got, err := parseFacts([]byte(pipe.String()[:pipe.Len()-3]))
	if err != nil || len(got) != 1 || got[0].N != 7 || !got[0].At.Equal(w.all()[0].At) {
		t.Errorf("got %+v, %v", got, err)
	}
}
