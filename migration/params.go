package migration

import (
	"errors"
	"fmt"
	"math/bits"

	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Capability is a switch that both sides may have.
type Capability int

// The capabilities, in the order in which QMP lists them.
const (
	CapXBZRLE Capability = iota
	CapAutoConverge
	CapEvents
	CapPauseBeforeSwitchover
	CapReturnPath
	CapMultifd
	CapDirtyBitmaps
	CapLateBlockActivate
	CapValidateUUID
	numCapabilities
)

var capabilityNames = [numCapabilities]string{"xbzrle", "auto-converge", "events", "pause-before-switchover", "return-path", "multifd", "dirty-bitmaps", "late-block-activate", "validate-uuid"}

func (c Capability) String() string { return capabilityNames[c] }

// Capabilities lists all capabilities.
func Capabilities() (out []Capability) {
	for c := range numCapabilities {
		out = append(out, c)
	}
	return out
}

// FindCapability finds a capability by its name.
func FindCapability(name string) (Capability, bool) {
	for c, n := range capabilityNames {
		if n == name {
			return Capability(c), true
		}
	}
	return 0, false
}

// Capability tells whether a capability is on.
func (e *Engine) Capability(c Capability) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.caps[c]
}

// errActive says that a migration is under way.
var errActive = errors.New("There's a migration process in progress")

// errOneChannel says that there is only one channel.
var errOneChannel = errors.New("multifd is not supported by current protocol")

// SetCapabilities switches capabilities.
func (e *Engine) SetCapabilities(set map[Capability]bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out != nil && e.out.get().underWay() {
		return errActive
	}
	if set[CapMultifd] && e.in.single && e.stateOf() == mainloop.StateInMigrate {
		return errOneChannel
	}
	for c, on := range set {
		e.caps[c] = on
	}
	return nil
}

// Parameters are the numbers that a migration goes by, under QMP's names. Those about features that are not there are kept and have no
// effect.
type Parameters struct {
	AnnounceInitial, AnnounceMax, AnnounceRounds, AnnounceStep uint64

	CompressLevel, CompressThreads, DecompressThreads uint8
	CompressWaitThread                                bool

	ThrottleTriggerThreshold                 uint8 // per cent
	CpuThrottleInitial, CpuThrottleIncrement uint8 // per cent
	CpuThrottleTailslow                      bool
	MaxCpuThrottle                           uint8 // per cent

	TlsCreds, TlsHostname, TlsAuthz string

	MaxBandwidth         uint64 // bytes a second
	DowntimeLimit        uint64 // milliseconds
	XCheckpointDelay     uint32
	BlockIncremental     bool
	MultifdChannels      uint8
	XbzrleCacheSize      uint64
	MaxPostcopyBandwidth uint64
	MultifdCompression   string
	MultifdZlibLevel     uint8
	MultifdZstdLevel     uint8

	BlockBitmapMapping []NodeAlias // of the bitmaps that are sent and taken; nil: all, under their own names
}

func defaults() Parameters {
	return Parameters{
		AnnounceInitial: 50, AnnounceMax: 550, AnnounceRounds: 5, AnnounceStep: 100,
		CompressLevel: 1, CompressThreads: 8, DecompressThreads: 2, CompressWaitThread: true,
		ThrottleTriggerThreshold: 50, CpuThrottleInitial: 20, CpuThrottleIncrement: 10, MaxCpuThrottle: 99,
		MaxBandwidth: 128 << 20, DowntimeLimit: 300, XCheckpointDelay: 20000, MultifdChannels: 2, XbzrleCacheSize: 64 << 20,
		MultifdCompression: "none", MultifdZlibLevel: 1, MultifdZstdLevel: 1,
	}
}

// Parameters returns the parameters.
func (e *Engine) Parameters() Parameters {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.params
}

// SetParameters replaces the parameters; a migration under way goes by the new ones.
func (e *Engine) SetParameters(change func(*Parameters)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.params
	change(&p)
	if err := p.check(); err != nil {
		return err
	}
	e.params = p
	return nil
}

const maxDowntime = 2000 * 1000

// check refuses values out of range, in QEMU's words.
func (p *Parameters) check() error {
	const percent = "an integer in the range of 1 to 99"
	for _, c := range []struct {
		ok         bool
		name, want string
	}{
		{p.CompressLevel <= 9, "compress_level", "a value between 0 and 9"},
		{p.CompressThreads >= 1, "compress_threads", "a value between 1 and 255"},
		{p.DecompressThreads >= 1, "decompress_threads", "a value between 1 and 255"},
		{p.ThrottleTriggerThreshold >= 1 && p.ThrottleTriggerThreshold <= 100, "throttle_trigger_threshold", "an integer in the range of 1 to 100"},
		{p.CpuThrottleInitial >= 1 && p.CpuThrottleInitial <= 99, "cpu_throttle_initial", percent},
		{p.CpuThrottleIncrement >= 1 && p.CpuThrottleIncrement <= 99, "cpu_throttle_increment", percent},
		{p.DowntimeLimit <= maxDowntime, "downtime_limit", fmt.Sprintf("an integer in the range of 0 to %d ms", maxDowntime)},
		{p.MultifdChannels >= 1, "multifd_channels", "a value between 1 and 255"},
		{p.MultifdZlibLevel <= 9, "multifd_zlib_level", "a value between 0 and 9"},
		{p.MultifdZstdLevel <= 20, "multifd_zstd_level", "a value between 0 and 20"},
		{p.XbzrleCacheSize >= memory.PageSize && bits.OnesCount64(p.XbzrleCacheSize) == 1, "xbzrle_cache_size", "a power of two no less than the target page size"},
		{p.MaxCpuThrottle >= p.CpuThrottleInitial && p.MaxCpuThrottle <= 99, "max_cpu_throttle", "an integer in the range of cpu_throttle_initial to 99"},
		{p.AnnounceInitial <= 100000, "announce_initial", "a value between 0 and 100000"},
		{p.AnnounceMax <= 100000, "announce_max", "a value between 0 and 100000"},
		{p.AnnounceRounds <= 1000, "announce_rounds", "a value between 0 and 1000"},
		{p.AnnounceStep >= 1 && p.AnnounceStep <= 10000, "announce_step", "a value between 0 and 10000"},
	} {
		if !c.ok {
			return fmt.Errorf("Parameter '%s' expects %s", c.name, c.want)
		}
	}
	return checkAliases(p.BlockBitmapMapping)
}

// stateOf is the machine's run state.
func (e *Engine) stateOf() mainloop.RunState { return e.M.VM.State() }
