package zipx

// Limits bound what an archive may ask of its reader. A zero field means its
// default.
type Limits struct {
	// MaxMembers is the most members of an archive; 20 million by default.
	MaxMembers uint64
	// MaxName is the longest member name in bytes; 65535 by default.
	MaxName int
	// MaxSize is the most plain bytes of one member; unlimited by default.
	MaxSize uint64
	// MaxRatio is how many plain bytes each byte of a member, and each byte of
	// the archive over all members, may stand for. By default it is 32768, which
	// no honest member exceeds (Deflate reaches 1032) and archives that list the
	// same bytes many times do.
	MaxRatio uint64
}

const (
	defaultMaxMembers = 20_000_000
	defaultMaxRatio   = 1 << 15
	// maxDirectory is what the index can address.
	maxDirectory = 1<<40 - 1
)

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	if l.MaxMembers == 0 {
		l.MaxMembers = defaultMaxMembers
	}
	if l.MaxName <= 0 || l.MaxName > MaxName {
		l.MaxName = MaxName
	}
	if l.MaxSize == 0 {
		l.MaxSize = 1<<64 - 1
	}
	if l.MaxRatio == 0 {
		l.MaxRatio = defaultMaxRatio
	}
	return l
}

// checkMember checks the declared sizes of a member.
func (l *Limits) checkMember(m *Member) error {
	if m.Size > l.MaxSize {
		return &LimitError{Member: m.Name, Limit: "MaxSize", Value: m.Size, Max: l.MaxSize}
	}
	if ratio, over := l.ratio(m.Size, m.CompressedSize); over {
		return &LimitError{Member: m.Name, Limit: "MaxRatio", Value: ratio, Max: l.MaxRatio}
	}
	return nil
}

// ratio tells whether plain bytes from packed bytes are more than MaxRatio
// allows, and the ratio.
func (l *Limits) ratio(plain, packed uint64) (uint64, bool) {
	r := plain / max(packed, 1)
	return r, r > l.MaxRatio
}
