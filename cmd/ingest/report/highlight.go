package report

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"satchel/cmd/ingest/rows"
)

// Highlight is something that a responder looks at first.
type Highlight struct {
	Title   string     `json:"title"`
	Sources []string   `json:"sources"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	Total   int64      `json:"total"` // rows that fit, of which Rows may be a part
}

// rule finds one kind of highlight by the name of the source and the columns of
// its rows, so that artifacts of others count as well.
type rule struct {
	title   string
	source  *regexp.Regexp // nil: any source whose rows have the column
	column  string
	columns []string // to show, as far as the rows have them
	keep    func(cells) bool
	newest  []string // keep those with the greatest value of the first of these columns
}

// cells are the texts of a row by lower-case column.
type cells map[string]string

func (c cells) first(names ...string) string {
	for _, n := range names {
		if v := c[strings.ToLower(n)]; v != "" {
			return v
		}
	}
	return ""
}

func (c cells) yes(name string) bool {
	switch strings.ToLower(c[strings.ToLower(name)]) {
	case "true", "y", "yes", "1":
		return true
	}
	return false
}

func named(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern) }

// rules are all highlights, the most urgent first.
func rules() []rule {
	processes, sockets, users := named(`pslist|processes?$`), named(`netstat`), named(`\.users$`)
	process := []string{"Pid", "Ppid", "Name", "Exe", "CommandLine", "Username", "CreateTime", "StartTime"}
	login := []string{"Timestamp", "login_time", "LoginTime", "Time", "User", "login_User", "Terminal", "login_Terminal",
		"Host", "login_Host", "Address", "login_IpAddr", "IpAddr"}
	times := []string{"Timestamp", "login_time", "LoginTime", "Time"}
	all := func(cells) bool { return true }
	return []rule{
		{
			title: "Running programs whose file was deleted", source: processes, columns: process,
			keep: func(c cells) bool { return c.yes("Deleted") || strings.HasSuffix(c.first("Exe"), " (deleted)") },
		}, {
			title: "Programs that run from temporary directories or memory", source: processes, columns: process,
			keep: func(c cells) bool { return temporary(c.first("Exe")) && !c.yes("Deleted") },
		}, {
			title: "Kernel modules that hide, or that are not the distribution's", source: named(`modules`),
			columns: []string{"Name", "Size", "Taint", "Hidden", "Path", "OSPath"},
			keep:    func(c cells) bool { return c.yes("Hidden") || strings.ContainsAny(c.first("Taint"), "OEF") },
		}, {
			title: "Marked by the artifacts themselves", column: "Notes",
			columns: []string{"Notes", "OSPath", "Pid", "User", "Name", "Exe", "Path", "Line", "Command", "CommandLine"},
			keep:    func(c cells) bool { notes := c.first("Notes"); return notes != "" && notes != "[]" && notes != "{}" },
		}, {
			title: "Accounts with uid 0 besides root", source: users,
			columns: []string{"User", "Uid", "Gid", "Homedir", "Shell"},
			keep:    func(c cells) bool { return c.first("Uid") == "0" && c.first("User", "Name") != "root" },
		}, {
			title: "Listening sockets", source: sockets,
			columns: []string{"Type", "LocalAddr", "LocalPort", "Pid", "Name", "Exe", "CommandLine", "Username"},
			keep:    func(c cells) bool { return strings.HasPrefix(strings.ToUpper(c.first("Status", "State")), "LISTEN") },
		}, {
			title: "Connections to other networks", source: sockets,
			columns: []string{"RemoteAddr", "RemotePort", "LocalPort", "Pid", "Name", "CommandLine", "Username"},
			keep: func(c cells) bool {
				return strings.HasPrefix(strings.ToUpper(c.first("Status", "State")), "ESTAB") && public(c.first("RemoteAddr", "RemoteIP"))
			},
		}, {
			title: "Sessions that were open", source: named(`login/current$`), columns: login, keep: all,
		}, {
			title: "Latest logins", source: named(`(lastuserlogin|wtmp|logins?|logons?)$`), columns: login, newest: times,
			keep: func(c cells) bool { event := c.first("Event"); return event == "" || event == "login" },
		}, {
			title: "Latest logins that failed", source: named(`login/failed$|btmp`), columns: login, keep: all, newest: times,
		}, {
			title: "Accounts that can log in", source: users,
			columns: []string{"User", "Uid", "Gid", "Description", "Homedir", "Shell"},
			keep:    func(c cells) bool { return loginShell(c.first("Shell")) },
		}, {
			title: "Keys that open accounts over SSH", source: named(`authorizedkeys`),
			columns: []string{"User", "Uid", "OSPath", "KeyType", "Type", "Comment", "Fingerprint", "Options"}, keep: all,
		},
	}
}

func loginShell(shell string) bool {
	for _, none := range []string{"/nologin", "/false", "/sync", "/halt", "/shutdown"} {
		if strings.HasSuffix(shell, none) {
			return false
		}
	}
	return shell != ""
}

func temporary(exe string) bool {
	exe = strings.ToLower(exe)
	for _, dir := range []string{"/tmp/", "/var/tmp/", "/dev/shm/", "memfd:", "/memfd:", "/private/tmp/"} {
		if strings.HasPrefix(exe, dir) {
			return true
		}
	}
	return strings.Contains(exe, `\temp\`) || strings.Contains(exe, `\users\public\`)
}

func public(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsUnspecified() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast()
}

// hit is a row that a rule keeps.
type hit struct {
	sortKey string
	cells   cells
}

// finding is what one rule found so far.
type finding struct {
	rule    rule
	sources []string
	hits    []hit
	total   int64
}

// finder holds all rules against rows.
type finder struct{ findings []*finding }

func newFinder() *finder {
	f := &finder{}
	for _, r := range rules() {
		f.findings = append(f.findings, &finding{rule: r})
	}
	return f
}

// search is the rules that look at one source.
type search struct {
	source   string
	active   []*finding
	byColumn []*finding // that look at the rows which have their column
}

func (f *finder) begin(source string) search {
	s := search{source: clip(source)}
	for _, x := range f.findings {
		switch {
		case x.rule.source == nil:
			s.byColumn = append(s.byColumn, x)
		case x.rule.source.MatchString(source):
			s.active = append(s.active, x)
		}
	}
	return s
}

// wants says whether further rows of a source with these columns are to be
// looked at.
func (s search) wants(columns []string) bool {
	return len(s.active) > 0 || slices.ContainsFunc(s.byColumn, func(x *finding) bool { return slices.Contains(columns, x.rule.column) })
}

func (s search) row(line []byte) {
	c := make(cells)
	rows.Cells(line, func(key, value []byte) bool {
		c[strings.ToLower(rows.Name(key))] = clip(rows.Text(value))
		return len(c) < 200
	})
	for _, list := range [][]*finding{s.active, s.byColumn} {
		for _, x := range list {
			if x.rule.keep(c) {
				x.add(s.source, c)
			}
		}
	}
}

// add keeps a bounded number of rows: the first, or for rules that ask for it
// the newest.
func (x *finding) add(source string, c cells) {
	x.total++
	if !slices.Contains(x.sources, source) && len(x.sources) < 20 {
		x.sources = append(x.sources, source)
	}
	h := hit{cells: c}
	if x.rule.newest != nil {
		h.sortKey = c.first(x.rule.newest...)
	}
	switch {
	case len(x.hits) < maxHits:
		x.hits = append(x.hits, h)
	case x.rule.newest != nil:
		oldest := 0
		for i := range x.hits {
			if x.hits[i].sortKey < x.hits[oldest].sortKey {
				oldest = i
			}
		}
		if h.sortKey > x.hits[oldest].sortKey {
			x.hits[oldest] = h
		}
	}
}

// highlights gives what was found, in the order of the rules.
func (f *finder) highlights() []Highlight {
	var out []Highlight
	for _, x := range f.findings {
		if x.total == 0 {
			continue
		}
		if x.rule.newest != nil {
			slices.SortStableFunc(x.hits, func(a, b hit) int { return strings.Compare(b.sortKey, a.sortKey) })
		}
		h := Highlight{Title: x.rule.title, Sources: x.sources, Total: x.total}
		for _, col := range x.rule.columns {
			if slices.ContainsFunc(x.hits, func(h hit) bool { return h.cells[strings.ToLower(col)] != "" }) {
				h.Columns = append(h.Columns, col)
			}
		}
		for _, hit := range x.hits {
			row := make([]string, len(h.Columns))
			for i, col := range h.Columns {
				row[i] = hit.cells[strings.ToLower(col)]
			}
			h.Rows = append(h.Rows, row)
		}
		out = append(out, h)
	}
	return out
}
