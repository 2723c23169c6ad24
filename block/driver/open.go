package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// driveOptions are the options of -drive that are neither the drive's own nor a node's.
type driveOptions struct {
	file         string
	mode         block.Mode
	writeThrough bool
	snapshot     bool
	throttle     *block.ThrottleConfig
	group        string
	stats        statsOptions
}

// statsOptions say how requests are counted.
type statsOptions struct {
	invalid, failed bool            // malformed and failed requests count as use of the disk
	intervals       []time.Duration // times are kept over these
}

// takeStats takes the options of the statistics.
func takeStats(opts Dict) (o statsOptions, err error) {
	if o.invalid, err = opts.takeBool("stats-account-invalid", true); err != nil {
		return o, err
	}
	if o.failed, err = opts.takeBool("stats-account-failed", true); err != nil {
		return o, err
	}
	const list = "stats-intervals."
	for i := 0; ; i++ {
		v, ok := opts.take(list + strconv.Itoa(i))
		if !ok {
			break
		}
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || n == 0 {
			return o, fmt.Errorf("Invalid interval length: %s", v)
		}
		o.intervals = append(o.intervals, time.Duration(n)*time.Second)
	}
	for key := range opts {
		if strings.HasPrefix(key, list) {
			return o, fmt.Errorf("Invalid option %s", key)
		}
	}
	return o, nil
}

// apply sets the options of a backend's statistics.
func (o *statsOptions) apply(s *block.Stats) {
	s.Account(o.invalid, o.failed)
	for _, length := range o.intervals {
		s.AddInterval(length)
	}
}

// aioModes are the values of aio=.
var aioModes = []string{"threads", "native", "io_uring"}

// takeDriveOptions takes from opts what is not a node's.
func takeDriveOptions(drv *Drive, opts Dict) (o driveOptions, err error) {
	o.mode.AutoReadOnly = true
	mode := cacheMode{writeback: true}
	if v, ok := opts.take("cache"); ok {
		if mode, ok = cacheModes[v]; !ok {
			return o, errors.New("invalid cache option")
		}
	}
	if v, ok := opts.take("readonly"); ok {
		opts["read-only"] = v
	}
	for _, sw := range []struct {
		key string
		to  *bool
		def bool
	}{
		{"cache.writeback", &mode.writeback, mode.writeback}, {"cache.direct", &mode.direct, mode.direct}, {"cache.no-flush", &mode.noFlush, mode.noFlush},
		{"read-only", &o.mode.ReadOnly, drv.Media == "cdrom"}, {"snapshot", &o.snapshot, false}, {"copy-on-read", &o.mode.CopyOnRead, false},
	} {
		if *sw.to, err = opts.takeBool(sw.key, sw.def); err != nil {
			return o, err
		}
	}
	o.writeThrough, o.mode.Direct, o.mode.NoFlush = !mode.writeback, mode.direct, mode.noFlush
	if v, ok := opts.take("aio"); ok {
		if !slices.Contains(aioModes, v) {
			return o, errors.New("invalid aio option")
		}
		o.mode.AIO = v
	}
	if opts["detect-zeroes"] == "unmap" { // here, not with -blockdev, discard=unmap need not be given too
		opts.take("detect-zeroes")
		o.mode.DetectZeroes = block.DetectUnmap
	}
	format, ok := opts.take("format")
	if ok {
		if _, both := opts["driver"]; both {
			return o, errors.New("Cannot specify both 'driver' and 'format'")
		}
		opts["driver"] = format
	}
	o.file, _ = opts.take("file")
	if o.stats, err = takeStats(opts); err != nil {
		return o, err
	}
	o.throttle, o.group, err = takeThrottle(opts)
	return o, err
}

// openDrive opens the disk of a drive, if it has one.
// Preconditions: mu and the graph lock are held.
func (s *Drives) openDrive(drv *Drive, o driveOptions, opts Dict) error {
	ctx := context.Background()
	var n *block.Node
	if o.file != "" || len(opts) > 0 {
		var err error
		if n, err = s.openDisk(ctx, o, opts.options()); err != nil {
			return err
		}
		defer s.Graph.Unref(n)
	}
	perm := block.PermConsistentRead // the device requests what else it needs
	if s.Graph.InMigrate() {
		perm = 0 // nodes are inactive
	}
	b := s.Graph.NewBackend(drv.ID, "", perm, block.PermAll)
	if n != nil {
		if err := b.Insert(n); err != nil {
			b.Delete()
			return err
		}
		o.stats.apply(&b.Stats)
	}
	b.SetMediumMode(o.mode)
	b.SetWriteCache(!o.writeThrough)
	if o.throttle != nil && o.throttle.Enabled() {
		name := o.group
		if name == "" {
			name = drv.ID
		}
		if err := s.SetThrottle(b, name, o.throttle); err != nil {
			b.Delete()
			return err
		}
	}
	drv.Backend = b
	return nil
}

// openDisk opens the node of a drive, with a temporary overlay if that is asked for.
func (s *Drives) openDisk(ctx context.Context, o driveOptions, opts *block.Options) (*block.Node, error) {
	o.mode.Inactive = s.Graph.InMigrate()
	if !o.snapshot {
		return s.Graph.Open(ctx, o.file, opts, o.mode)
	}
	base := o.mode
	base.ReadOnly, base.AutoReadOnly, base.CopyOnRead, base.Unmap = true, false, false, true
	opts.Delete("read-only")
	n, err := s.Graph.Open(ctx, o.file, opts, base)
	if err != nil {
		return nil, err
	}
	defer s.Graph.Unref(n)
	return s.overlay(ctx, n, o.mode.ReadOnly)
}

// defaultTempDir is where temporary files go without TMPDIR: they may be large and /tmp often lies in memory.
const defaultTempDir = "/var/tmp"

// overlay puts a temporary qcow2 image over a node, so that the node stays as it is. The file has no name any more once it is open: it
// vanishes with the process, however that ends.
func (s *Drives) overlay(ctx context.Context, base *block.Node, readOnly bool) (*block.Node, error) {
	size, err := base.Length(ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not get image size")
	}
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = defaultTempDir
	}
	tmp, err := os.CreateTemp(dir, "vl.")
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not open temporary file '%s'", dir+"/vl.XXXXXX")
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	d := s.Graph.FindDriver("qcow2")
	if d == nil {
		return nil, block.Errorf(unix.ENOENT, "Unknown driver 'qcow2'")
	}
	if err := s.Graph.Create(ctx, d, tmp.Name(), size, block.NewOptions()); err != nil {
		return nil, block.Prepend(err, fmt.Sprintf("Could not create temporary overlay '%s': ", tmp.Name()))
	}
	top, err := s.Graph.Open(ctx, "", block.OptionsOf("driver", "qcow2", "file.driver", "file", "file.filename", tmp.Name(), "file.locking", "off"),
		block.Mode{ReadOnly: readOnly, NoFlush: true, Temporary: true, Unmap: true})
	if err != nil {
		return nil, err
	}
	if err := s.Graph.Append(top, base); err != nil {
		s.Graph.Unref(top)
		return nil, err
	}
	return top, nil
}

// throttleKeys are the names of the limits, new and old, by bucket.
var throttleKeys = [...]struct{ name, old string }{
	block.BytesTotal: {"bps-total", "bps"}, block.BytesRead: {"bps-read", "bps_rd"}, block.BytesWrite: {"bps-write", "bps_wr"},
	block.OpsTotal: {"iops-total", "iops"}, block.OpsRead: {"iops-read", "iops_rd"}, block.OpsWrite: {"iops-write", "iops_wr"},
}

// takeThrottle takes the limits; nil if none is given.
func takeThrottle(opts Dict) (*block.ThrottleConfig, string, error) {
	c := block.NewThrottleConfig()
	given := false
	take := func(to *uint64, name, old string) error {
		key := "throttling." + name
		if v, ok := opts.take(old); ok {
			opts[key] = v
		}
		v, err := opts.options().TakeUint(key, *to)
		if _, ok := opts.take(key); ok {
			given = true
		}
		*to = v
		return err
	}
	for i, k := range throttleKeys {
		b := &c.Buckets[i]
		if err := errors.Join(take(&b.Avg, k.name, k.old), take(&b.Max, k.name+"-max", k.old+"_max"), take(&b.Length, k.name+"-max-length", k.old+"_max_length")); err != nil {
			return nil, "", err
		}
	}
	if err := take(&c.OpSize, "iops-size", "iops_size"); err != nil {
		return nil, "", err
	}
	if v, ok := opts.take("group"); ok {
		opts["throttling.group"] = v
	}
	group, _ := opts.take("throttling.group")
	if !given {
		return nil, group, nil
	}
	return &c, group, c.Check()
}
