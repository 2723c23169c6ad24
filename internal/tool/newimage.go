package tool

import (
	"context"
	"fmt"
	"strings"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// NewImage is an image to be made by a format in a file.
type NewImage struct {
	Filename, Format string
	Base, BaseFormat *string           // backing file, with its format
	List             string            // further options
	Size             int64             // NoSize for that of the backing file
	NoBacking        bool              // the backing file is not looked at
	Tell             func(line string) // gets a line about the image; nil for nobody
}

// NoSize stands for a size that was not given.
const NoSize = -1

// Names of options that are looked at here.
const (
	optSize    = "size"
	optBacking = "backing_file"
	optBackFmt = "backing_fmt"
	optCluster = "cluster_size"
)

// Create makes the image.
// Preconditions: the graph lock is held.
func (r *NewImage) Create(ctx context.Context, g *block.Graph) error {
	d, o, err := r.options(g)
	if err != nil {
		return err
	}
	backing, hasBacking := o.Get(optBacking)
	backFormat, hasFormat := o.Get(optBackFmt)
	switch {
	case !hasBacking:
	case backing == r.Filename:
		return block.Errorf(unix.EINVAL, "Error: Trying to create an image with the same filename as the backing file")
	case backing == "":
		return block.Errorf(unix.EINVAL, "Expected backing file name, got empty string")
	}
	size := o.Size(optSize, r.Size)
	switch {
	case hasBacking && !r.NoBacking:
		if size, err = r.sizeFromBacking(ctx, g, backing, backFormat, hasFormat, size); err != nil {
			return err
		}
		o.SetNumber(optSize, size)
	case hasBacking && !hasFormat:
		return block.Errorf(unix.EINVAL, "Backing file specified without backing format")
	}
	if size == NoSize {
		return block.Errorf(unix.EINVAL, "Image creation needs a size parameter")
	}
	if r.Tell != nil {
		r.Tell(fmt.Sprintf("Formatting '%s', fmt=%s %s\n", r.Filename, r.Format, o))
	}
	err = g.Create(ctx, d, r.Filename, size, o.Options())
	if err != nil && block.Errno(err) == unix.EFBIG {
		hint := ""
		if v, ok := o.Get(optCluster); ok && v != "0" {
			hint = " (try using a larger cluster size)"
		}
		return block.Errorf(unix.EFBIG, "The image size is too large for file format '%s'%s", r.Format, hint)
	}
	return err
}

// options reads the options.
func (r *NewImage) options(g *block.Graph) (*block.Driver, *CreateOptions, error) {
	d := g.FindDriver(r.Format)
	if d == nil {
		return nil, nil, block.Errorf(unix.EINVAL, "Unknown file format '%s'", r.Format)
	}
	proto, err := g.FindProtocol(r.Filename, true)
	switch {
	case err != nil:
		return nil, nil, err
	case d.Create == nil:
		return nil, nil, block.Errorf(unix.EINVAL, "Format driver '%s' does not support image creation", d.Name)
	case proto.Create == nil:
		return nil, nil, block.Errorf(unix.EINVAL, "Protocol driver '%s' does not support image creation", proto.Name)
	}
	o := NewCreateOptions(d.CreateOptions, proto.CreateOptions)
	if err := o.Parse(r.List); err != nil {
		return nil, nil, err
	}
	if !o.Has(optSize) {
		o.SetNumber(optSize, r.Size)
	} else if r.Size != NoSize {
		return nil, nil, block.Errorf(unix.EINVAL, "The image size must be specified only once")
	}
	return d, o, SetBacking(o, r.Format, r.Base, r.BaseFormat)
}

// SetBacking names a backing file and its format in the options of an image.
func SetBacking(o *CreateOptions, format string, base, baseFormat *string) error {
	if base != nil && o.Set(optBacking, *base) != nil {
		return block.Errorf(unix.EINVAL, "Backing file not supported for file format '%s'", format)
	}
	if baseFormat != nil && o.Set(optBackFmt, *baseFormat) != nil {
		return block.Errorf(unix.EINVAL, "Backing file format not supported for file format '%s'", format)
	}
	return nil
}

// sizeFromBacking opens the backing file of a new image and takes its size if there is no other.
func (r *NewImage) sizeFromBacking(ctx context.Context, g *block.Graph, backing, format string, hasFormat bool, size int64) (int64, error) {
	full, err := block.FullBackingFilename(r.Filename, backing)
	if err != nil {
		return 0, err
	}
	o := block.OptionsOf(OptForceShare, true)
	if hasFormat {
		o.Set("driver", format)
	}
	n, err := g.Open(ctx, full, o, block.Mode{ReadOnly: true, NoIO: true})
	if err != nil {
		return 0, &block.Error{Errno: block.Errno(err), Text: err.Error(), Hint: strings.TrimPrefix(block.HintOf(err)+"\nCould not open backing image.", "\n")}
	}
	defer g.Unref(n)
	if !hasFormat {
		return 0, &block.Error{Errno: unix.EINVAL, Text: "Backing file specified without backing format",
			Hint: "Detected format of " + n.Driver().Name + "." + NoNewline}
	}
	if size != NoSize {
		return size, nil
	}
	if size, err = n.Length(ctx); err != nil {
		return 0, block.Errnof(block.Errno(err), "Could not get size of '%s'", backing)
	}
	return size, nil
}
