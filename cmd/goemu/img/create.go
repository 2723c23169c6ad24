package img

import (
	"strings"

	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// Names of options that the tool itself looks at.
const (
	optSize     = "size"
	optBacking  = "backing_file"
	optBackFmt  = "backing_fmt"
	optPrealloc = "preallocation"
	optCluster  = "cluster_size"
	optPrealoc  = "preallocation"
)

// noSize stands for a size that was not given.
const noSize = -1

func (c *command) create(args []string) int {
	var format, base, baseFormat, list string
	format = "raw"
	var quiet, unsafe, hasBase, hasBaseFormat bool
	ops, status, ok := c.parse(args, objectOption, text('f', "", &format), flag('q', "", &quiet), flag('u', "", &unsafe), c.list(&list),
		option{'b', "", true, func(v string) bool { base, hasBase = v, true; return true }},
		option{'F', "", true, func(v string) bool { baseFormat, hasBaseFormat = v, true; return true }})
	if !ok {
		return status
	}
	filename := ""
	if len(ops) > 0 {
		filename = ops[0]
	}
	if list != "" && tool.HasHelp(list) {
		return c.optionHelp(filename, format)
	}
	if len(ops) == 0 {
		return c.Usage("Expecting image file name")
	}
	size := int64(noSize)
	if len(ops) > 1 {
		if size, ok = c.Size("image size", ops[1]); !ok {
			return 1
		}
	}
	if len(ops) > 2 {
		return c.Usage("Unexpected argument: %s", ops[2])
	}
	r := creation{filename: filename, format: format, list: list, size: size, noBacking: unsafe, quiet: quiet}
	if hasBase {
		r.base = &base
	}
	if hasBaseFormat {
		r.baseFormat = &baseFormat
	}
	c.Graph.Lock()
	defer c.Graph.Unlock()
	if err := c.createImage(r); err != nil {
		c.Report(filename+": ", err)
		return 1
	}
	return 0
}

// creation is what "create" makes.
type creation struct {
	filename, format string
	base, baseFormat *string
	list             string
	size             int64
	noBacking, quiet bool
}

// createImage makes an image, with a line about it.
// Preconditions: the graph lock is held.
func (c *command) createImage(r creation) error {
	d, o, err := c.creationOptions(&r)
	if err != nil {
		return err
	}
	backing, hasBacking := o.Get(optBacking)
	backFormat, hasFormat := o.Get(optBackFmt)
	switch {
	case !hasBacking:
	case backing == r.filename:
		return block.Errorf(unix.EINVAL, "Error: Trying to create an image with the same filename as the backing file")
	case backing == "":
		return block.Errorf(unix.EINVAL, "Expected backing file name, got empty string")
	}
	size := o.Size(optSize, r.size)
	switch {
	case hasBacking && !r.noBacking:
		if size, err = c.sizeFromBacking(r.filename, backing, backFormat, hasFormat, size); err != nil {
			return err
		}
		o.SetNumber(optSize, size)
	case hasBacking && !hasFormat:
		return block.Errorf(unix.EINVAL, "Backing file specified without backing format")
	}
	if size == noSize {
		return block.Errorf(unix.EINVAL, "Image creation needs a size parameter")
	}
	if !r.quiet {
		c.Printf("Formatting '%s', fmt=%s %s\n", r.filename, r.format, o)
		c.Out.Flush()
	}
	err = c.Graph.Create(c.Ctx, d, r.filename, size, o.Options())
	if err != nil && block.Errno(err) == unix.EFBIG {
		hint := ""
		if v, ok := o.Get(optCluster); ok && v != "0" {
			hint = " (try using a larger cluster size)"
		}
		return block.Errorf(unix.EFBIG, "The image size is too large for file format '%s'%s", r.format, hint)
	}
	return err
}

// creationOptions reads the options of a creation.
func (c *command) creationOptions(r *creation) (*block.Driver, *tool.CreateOptions, error) {
	d := c.Graph.FindDriver(r.format)
	if d == nil {
		return nil, nil, block.Errorf(unix.EINVAL, "Unknown file format '%s'", r.format)
	}
	proto, err := c.Graph.FindProtocol(r.filename, true)
	switch {
	case err != nil:
		return nil, nil, err
	case d.Create == nil:
		return nil, nil, block.Errorf(unix.EINVAL, "Format driver '%s' does not support image creation", d.Name)
	case proto.Create == nil:
		return nil, nil, block.Errorf(unix.EINVAL, "Protocol driver '%s' does not support image creation", proto.Name)
	}
	o := tool.NewCreateOptions(d.CreateOptions, proto.CreateOptions)
	if err := o.Parse(r.list); err != nil {
		return nil, nil, err
	}
	if !o.Has(optSize) {
		o.SetNumber(optSize, r.size)
	} else if r.size != noSize {
		return nil, nil, block.Errorf(unix.EINVAL, "The image size must be specified only once")
	}
	return d, o, setBacking(o, r.format, r.base, r.baseFormat)
}

// setBacking takes over -b and -F.
func setBacking(o *tool.CreateOptions, format string, base, baseFormat *string) error {
	if base != nil && o.Set(optBacking, *base) != nil {
		return block.Errorf(unix.EINVAL, "Backing file not supported for file format '%s'", format)
	}
	if baseFormat != nil && o.Set(optBackFmt, *baseFormat) != nil {
		return block.Errorf(unix.EINVAL, "Backing file format not supported for file format '%s'", format)
	}
	return nil
}

// sizeFromBacking opens the backing file of a new image and takes its size if there is no other.
func (c *command) sizeFromBacking(filename, backing, format string, hasFormat bool, size int64) (int64, error) {
	full, err := block.FullBackingFilename(filename, backing)
	if err != nil {
		return 0, err
	}
	o := block.OptionsOf(tool.OptForceShare, true)
	if hasFormat {
		o.Set("driver", format)
	}
	n, err := c.Graph.Open(c.Ctx, full, o, block.Mode{ReadOnly: true, NoIO: true})
	if err != nil {
		return 0, &block.Error{Errno: block.Errno(err), Text: err.Error(), Hint: strings.TrimPrefix(block.HintOf(err)+"\nCould not open backing image.", "\n")}
	}
	defer c.Graph.Unref(n)
	if !hasFormat {
		return 0, &block.Error{Errno: unix.EINVAL, Text: "Backing file specified without backing format",
			Hint: "Detected format of " + n.Driver().Name + "." + tool.NoNewline}
	}
	if size != noSize {
		return size, nil
	}
	if size, err = n.Length(c.Ctx); err != nil {
		return 0, block.Errnof(block.Errno(err), "Could not get size of '%s'", backing)
	}
	return size, nil
}
