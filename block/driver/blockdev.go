package driver

import (
	"errors"
	"fmt"
	"slices"

	"goemu/block/driver/file"
	"goemu/block/driver/raw"
)

// diskOptions are the options of a raw disk and of the file below it.
type diskOptions struct {
	file file.Options
	raw  raw.Options
	mode cacheMode
}

// takeDisk takes the options of a raw disk from opts and those of its file from sub. The file inherits what it does not say itself.
func takeDisk(opts, sub Dict, mode cacheMode, readOnly bool) (o diskOptions, err error) {
	if o.raw.Offset, err = opts.takeSize("offset"); err != nil {
		return o, err
	}
	if o.raw.Size, err = opts.takeSize("size"); err != nil {
		return o, err
	}
	c, err := takeCommon(opts, common{mode: mode, readOnly: readOnly})
	if err != nil {
		return o, err
	}
	o.raw.ReadOnly, o.raw.WriteThrough = c.readOnly, !c.mode.writeback
	o.raw.DetectZeroes, o.raw.DetectUnmap = c.detect != "off", c.detect == "unmap" && c.unmap
	aio := opts.takeOr("aio", sub.takeOr("aio", ""))
	if lock, ok := opts.take("locking"); ok {
		sub["locking"] = lock
	}
	if aio != "" {
		sub["aio"] = aio
	}
	o.file, o.mode, err = takeFile(sub, c)
	return o, err
}

// common are the options that every node has.
type common struct {
	mode     cacheMode
	readOnly bool
	unmap    bool
	detect   string
}

// takeCommon takes the options that every node has; def are the inherited values.
func takeCommon(opts Dict, def common) (c common, err error) {
	c = def
	for _, sw := range []struct {
		key string
		to  *bool
	}{
		{"cache.writeback", &c.mode.writeback}, {"cache.direct", &c.mode.direct}, {"cache.no-flush", &c.mode.noFlush}, {"read-only", &c.readOnly},
	} {
		if *sw.to, err = opts.takeBool(sw.key, *sw.to); err != nil {
			return c, err
		}
	}
	c.readOnly = c.readOnly || def.readOnly
	for _, key := range []string{"auto-read-only", "force-share"} {
		on, err := opts.takeBool(key, false)
		if err != nil {
			return c, err
		}
		if key == "force-share" && on && !c.readOnly {
			return c, errors.New("force-share=on can only be used with read-only images")
		}
	}
	if v, ok := opts.take("discard"); ok {
		if !slices.Contains([]string{"ignore", "off", "unmap", "on"}, v) {
			return c, errors.New("Invalid discard option")
		}
		c.unmap = v == "unmap" || v == "on"
	}
	c.detect = opts.takeOr("detect-zeroes", "off")
	switch {
	case !slices.Contains([]string{"off", "on", "unmap"}, c.detect):
		return c, fmt.Errorf("invalid parameter value: %s", c.detect)
	case c.detect == "unmap" && !c.unmap:
		return c, errors.New("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
	}
	return c, nil
}

// takeFile takes the options of a file node.
func takeFile(opts Dict, def common) (o file.Options, mode cacheMode, err error) {
	c, err := takeCommon(opts, def)
	if err != nil {
		return o, mode, err
	}
	if d := opts.takeOr("driver", "file"); d != "file" && d != "host_device" {
		return o, mode, fmt.Errorf("Unknown driver '%s'", d)
	}
	switch aio := opts.takeOr("aio", "threads"); {
	case aio == "native" && !c.mode.direct:
		return o, mode, errors.New("aio=native was specified, but it requires cache.direct=on, which was not specified.")
	case aio != "threads" && aio != "native" && aio != "io_uring":
		return o, mode, errors.New("invalid aio option")
	}
	lock := opts.takeOr("locking", "auto")
	if !slices.Contains([]string{"auto", "on", "off"}, lock) {
		return o, mode, fmt.Errorf("Parameter 'locking' does not accept value '%s'", lock)
	}
	return file.Options{
		Filename: opts.takeOr("filename", ""),
		ReadOnly: c.readOnly,
		Direct:   c.mode.direct,
		NoFlush:  c.mode.noFlush,
		Unmap:    c.unmap,
		NoLock:   lock == "off",
	}, c.mode, nil
}

// nodeDrivers are the drivers that -blockdev offers.
var nodeDrivers = []string{"raw", "file", "host_device"}

// AddBlockdev opens a node as -blockdev says, in either syntax.
func (g *Graph) AddBlockdev(text string) error {
	opts, err := parseOptions(text)
	if err != nil {
		return err
	}
	drv, ok := opts.take("driver")
	switch {
	case !ok:
		return errors.New("Parameter 'driver' is missing")
	case !slices.Contains(nodeDrivers, drv):
		return fmt.Errorf("Parameter 'driver' does not accept value '%s'", drv)
	}
	n := &node{driver: drv, name: opts.takeOr("node-name", "")}
	if n.name == "" {
		return errors.New("'node-name' must be specified for the root node")
	}
	if !wellFormedID(n.name) {
		return fmt.Errorf("Invalid node-name: '%s'", n.name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes[n.name] != nil {
		return fmt.Errorf("Duplicate nodes with node-name='%s'", n.name)
	}
	if g.drive(n.name) != nil {
		return fmt.Errorf("node-name=%s is conflicting with a device id", n.name)
	}
	if drv == "raw" {
		err = g.openRawNode(n, opts)
	} else {
		err = openFileNode(n, opts)
	}
	if err == nil {
		g.nodes[n.name] = n
	}
	return err
}

// openFileNode opens a protocol node.
func openFileNode(n *node, opts Dict) error {
	if _, ok := opts["filename"]; !ok {
		return errors.New("Parameter 'filename' is missing")
	}
	o, mode, err := takeFile(opts, common{mode: cacheMode{writeback: true}})
	if err != nil {
		return err
	}
	if key, ok := opts.first(); ok {
		return fmt.Errorf("Parameter '%s' is unexpected", key)
	}
	n.mode = mode
	n.file, err = file.Open(o)
	return err
}

// openRawNode opens a raw node on another node (file=NAME) or on a file of its own (file.filename=…).
// Preconditions: mu is held.
func (g *Graph) openRawNode(n *node, opts Dict) error {
	name, byName := opts.take("file")
	sub := opts.sub("file")
	if !byName {
		if len(sub) == 0 {
			return errors.New("Parameter 'file' is missing")
		}
		if d, ok := sub["driver"]; ok && (d == "raw" || !slices.Contains(nodeDrivers, d)) {
			return fmt.Errorf("Parameter 'driver' does not accept value '%s'", d)
		} else if !ok {
			return errors.New("Parameter 'file.driver' is missing")
		}
		if _, ok := sub["filename"]; !ok {
			return errors.New("Parameter 'file.filename' is missing")
		}
		sub.take("node-name")
	}
	o, err := takeDisk(opts, sub, cacheMode{writeback: true}, false)
	if err != nil {
		return err
	}
	if key, ok := sub.first(); ok {
		return fmt.Errorf("Parameter 'file.%s' is unexpected", key)
	}
	if key, ok := opts.first(); ok {
		return fmt.Errorf("Parameter '%s' is unexpected", key)
	}
	f, owned := (*file.File)(nil), false
	if byName {
		below := g.nodes[name]
		if below == nil || below.file == nil {
			return fmt.Errorf("Cannot find device='%s' nor node-name='%s'", name, name)
		}
		f = below.file
	} else {
		if f, err = file.Open(o.file); err != nil {
			return err
		}
		owned = true
	}
	disk, err := raw.New(f, o.raw)
	if err != nil {
		if owned {
			f.Close()
		}
		return err
	}
	n.disk, n.mode = disk, o.mode
	return nil
}
