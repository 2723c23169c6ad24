package file

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/fdset"
)

// runtimeOptions are the options of the drivers in this package.
var runtimeOptions = []block.Option{
	{Name: "filename", Type: block.OptString, Help: "File name of the image"},
	{Name: "aio", Type: block.OptString, Help: "host AIO implementation (threads, native, io_uring)", Fixed: true},
	{Name: "aio-max-batch", Type: block.OptNumber, Help: "AIO max batch size (0 = auto handled by AIO backend, default: 0)", Fixed: true},
	{Name: "locking", Type: block.OptString, Help: "file locking mode (on/off/auto, default: auto)", Fixed: true},
	{Name: "drop-cache", Type: block.OptBool, Help: "invalidate page cache during live migration (default: on)", Fixed: true},
	{Name: "x-check-cache-dropped", Type: block.OptBool, Help: "check that page cache was dropped on live migration (default: off)"},
}

// createOptions are the options for new files.
var createOptions = []block.Option{
	{Name: "size", Type: block.OptSize, Help: "Virtual disk size"},
	{Name: "nocow", Type: block.OptBool, Help: "Turn off copy-on-write (valid only on btrfs)"},
	{Name: "preallocation", Type: block.OptString, Help: "Preallocation mode (allowed values: off, falloc, full)"},
	{Name: "extent_size_hint", Type: block.OptSize, Help: "Extent size hint for the image file, 0 to disable"},
}

// Drivers are the protocols of this package.
var Drivers = []*block.Driver{
	{
		Name: "file", Protocol: true, Schemes: []string{"file"}, ParseFilename: stripPrefix("file:"), NeedsFilename: true,
		Options: runtimeOptions, Open: open(false), Create: create, CreateNode: createNode, CreateOptions: createOptions,
	},
	{
		Name: "host_device", Protocol: true, Schemes: []string{"host_device"}, ParseFilename: stripPrefix("host_device:"), NeedsFilename: true,
		ProbeDevice: probeDevice, Options: runtimeOptions, Open: open(true),
		Create: block.CreateByOpening("host_device"), CreateOptions: block.SimpleCreateOptions,
	},
	{
		Name: "host_cdrom", Protocol: true, Schemes: []string{"host_cdrom"}, ParseFilename: stripPrefix("host_cdrom:"), NeedsFilename: true,
		ProbeDevice: probeCDROM, Options: runtimeOptions, Open: open(true),
		Create: block.CreateByOpening("host_cdrom"), CreateOptions: block.SimpleCreateOptions,
	},
}

// stripPrefix makes a parser that removes a protocol's prefix; what is left must not look like another protocol.
func stripPrefix(prefix string) func(string, *block.Options) error {
	return func(filename string, o *block.Options) error {
		if rest, ok := strings.CutPrefix(filename, prefix); ok {
			if block.HasProtocol(rest) {
				rest = "./" + rest
			}
			o.Set("filename", rest)
		}
		return nil
	}
}

// Scores of the probes of device files.
const (
	scoreDevice    = 100
	scoreCDROMName = 50 // a name that the driver for real drives should get instead
)

func probeDevice(path string) int {
	if strings.HasPrefix(path, "/dev/cdrom") {
		return scoreCDROMName
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFCHR || kind == unix.S_IFBLK {
		return scoreDevice
	}
	return 0
}

// Of the kernel's interface to CD-ROM drives (linux/cdrom.h).
const (
	cdromDriveStatus = 0x5326
	cdslCurrent      = 0x7fffffff
)

func probeCDROM(path string) int {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, cdromDriveStatus, cdslCurrent); err != nil {
		return 0
	}
	return scoreDevice
}

// The values of "aio=".
const (
	aioThreads = "threads"
	aioNative  = "native"
	aioUring   = "io_uring"
)

var aioNames = []string{aioThreads, aioNative, aioUring}

// takeOptions takes the options of a file node.
func takeOptions(n *block.Node, o *block.Options) (opts Options, err error) {
	m := n.Mode()
	opts = Options{ReadOnly: m.ReadOnly, Direct: m.Direct, NoFlush: m.NoFlush, Unmap: true}
	opts.Filename, _ = o.TakeString("filename")
	opts.AIO = m.AIO
	if v, ok := o.TakeString("aio"); ok {
		opts.AIO = v
	}
	if opts.AIO == "" {
		opts.AIO = aioThreads
	}
	if !contains(aioNames, opts.AIO) {
		return opts, block.Errorf(unix.EINVAL, "invalid parameter value: %s", opts.AIO)
	}
	if _, err := o.TakeUint("aio-max-batch", 0); err != nil {
		return opts, err
	}
	switch v, ok := o.TakeString("locking"); {
	case !ok || v == "auto" || v == "on":
	case v == "off":
		opts.NoLock = true
	default:
		return opts, block.Errorf(unix.EINVAL, "invalid parameter value: %s", v)
	}
	opts.Cache, err = takeCacheOptions(o)
	return opts, err
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// open makes the Open function of a driver for regular files or devices.
func open(device bool) func(context.Context, *block.Node, *block.Options) (block.Instance, error) {
	return func(_ context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
		opts, err := takeOptions(n, o)
		if err != nil {
			return nil, err
		}
		auto := n.Mode().AutoReadOnly && !opts.ReadOnly
		f := &File{opts: opts, align: 1}
		if f.fd, err = openFile(opts.Filename, opts.ReadOnly || auto, opts.Direct); err != nil {
			return nil, err
		}
		f.writable = !opts.ReadOnly && !auto
		if err = f.check(n, device); err == nil {
			f.async, err = newAsyncQueue(opts.AIO)
		}
		if err != nil {
			unix.Close(f.fd)
			return nil, err
		}
		return &Node{File: f, node: n}, nil
	}
}

// openFile opens the file of a node; errors are QEMU's.
func openFile(path string, readOnly, direct bool) (int, error) {
	flags := unix.O_RDWR
	if readOnly {
		flags = unix.O_RDONLY
	}
	if direct {
		flags |= unix.O_DIRECT
	}
	fd := -1
	err := retry(func() (err error) { fd, err = fdset.Default.Open(path, flags, 0); return err })
	if err == unix.EINVAL && direct {
		return -1, block.Errorf(unix.EINVAL, "Could not open '%s': filesystem does not support O_DIRECT", path)
	}
	if err != nil {
		e := block.Errno(err)
		return -1, block.Errnof(e, "Could not open '%s'", path)
	}
	return fd, nil
}

// check looks at what was opened.
func (f *File) check(n *block.Node, device bool) error {
	if f.opts.AIO == aioNative && !f.opts.Direct {
		return block.Errorf(unix.EINVAL, "aio=native was specified, but it requires cache.direct=on, which was not specified.")
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return block.Errnof(block.Errno(err), "Could not stat file")
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case !device && kind != unix.S_IFREG:
		return block.Errorf(unix.EINVAL, "'%s' driver requires '%s' to be a regular file", n.DriverName(), n.Filename())
	case device && kind != unix.S_IFBLK && kind != unix.S_IFCHR:
		return block.Errorf(unix.EINVAL, "'%s' driver requires '%s' to be either a character or block device", n.DriverName(), n.Filename())
	}
	f.isDev = kind != unix.S_IFREG
	if err := f.inspect(); err != nil {
		return err
	}
	return nil
}
