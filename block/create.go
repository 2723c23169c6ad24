package block

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// SimpleCreateOptions are the options of protocols that "create" what exists already.
var SimpleCreateOptions = []Option{
	{Name: "size", Type: OptSize, Help: "Virtual disk size"},
	{Name: "preallocation", Type: OptString, Help: "Preallocation mode (allowed values: off)"},
}

// Create makes an image with a driver. size and o are as in CreateRequest.
// Preconditions: the graph lock is held.
func (g *Graph) Create(ctx context.Context, d *Driver, filename string, size int64, o *Options) error {
	if d.Create == nil {
		return Errorf(unix.ENOTSUP, "Driver '%s' does not support image creation", d.Name)
	}
	err := d.Create(ctx, g, &CreateRequest{Filename: filename, Size: size, Options: o})
	var e *Error
	var no unix.Errno
	if err != nil && !errors.As(err, &e) && errors.As(err, &no) {
		return Errnof(no, "Could not create image")
	}
	return err
}

// CreateFile makes what a filename names by the protocol's own driver; of o it takes the options that the protocol knows.
// Preconditions: the graph lock is held.
func (g *Graph) CreateFile(ctx context.Context, filename string, size int64, o *Options) error {
	d, err := g.FindProtocol(filename, true)
	if err != nil {
		return err
	}
	if d.Create == nil {
		return Errorf(unix.ENOTSUP, "Driver '%s' does not support image creation", d.Name)
	}
	known := NewOptions()
	if o != nil {
		for _, opt := range d.CreateOptions {
			if v, ok := o.Get(opt.Name); ok {
				known.Set(opt.Name, v)
			}
		}
	}
	return g.Create(ctx, d, filename, size, known)
}

// OpenCreated makes the file that a request names and opens it, for an image to be made in it. The caller owns a reference.
// Preconditions: the graph lock is held.
func (g *Graph) OpenCreated(ctx context.Context, r *CreateRequest) (*Node, error) {
	if err := g.CreateFile(ctx, r.Filename, 0, r.Options); err != nil {
		return nil, err
	}
	return g.OpenProtocol(ctx, r.Filename, nil, Mode{})
}

// CreateIn makes the file that a request names and lets fill make it an image. If that fails the file is deleted, where its driver can.
// Preconditions: the graph lock is held.
func (g *Graph) CreateIn(ctx context.Context, r *CreateRequest, fill func(file *Node) error) error {
	file, err := g.OpenCreated(ctx, r)
	if err != nil {
		return err
	}
	defer g.Unref(file)
	err = fill(file)
	if d, ok := file.State().(Deleter); ok && err != nil {
		_ = d.DeleteFile(ctx)
	}
	return err
}

// ReadHeader reads the first n bytes of an image's file, parses them, and gives the file's length, too.
func ReadHeader[H any](ctx context.Context, file *Child, n int, parse func(b []byte) (H, error)) (b []byte, h H, length int64, err error) {
	b = make([]byte, n)
	if err := file.Read(ctx, 0, b); err != nil {
		return nil, h, 0, unix.Errno(Errno(err))
	}
	if h, err = parse(b); err != nil {
		return nil, h, 0, err
	}
	if length, err = file.Length(ctx); err != nil {
		return nil, h, 0, unix.Errno(Errno(err))
	}
	return b, h, length, nil
}

// FixedSubformat tells whether the option "subformat", if given, asks for an image of fixed size: "fixed" rather than "dynamic".
func FixedSubformat(v string, given bool) (fixed bool, err error) {
	if given && v != "fixed" && v != "dynamic" {
		return false, Errorf(unix.EINVAL, "Parameter 'subformat' does not accept value '%s'", v)
	}
	return v == "fixed", nil
}

// CreateByOpening makes the Create function of a protocol whose images cannot be made, only found: it opens the image, changes its size
// if it can, and clears the first sector so that no old format is seen in it.
func CreateByOpening(driver string) func(context.Context, *Graph, *CreateRequest) error {
	return func(ctx context.Context, g *Graph, r *CreateRequest) error {
		if v, ok := r.Options.TakeString("preallocation"); ok && v != PreallocOff.String() {
			if _, known := ParsePrealloc(v); !known {
				return Errorf(unix.EINVAL, "invalid parameter value: %s", v)
			}
			return Errorf(unix.ENOTSUP, "Unsupported preallocation mode '%s'", v)
		}
		n, err := g.OpenProtocol(ctx, r.Filename, OptionsOf(optDriver, driver), Mode{})
		if err != nil {
			return &Error{Errno: unix.EINVAL, Text: "Protocol driver '" + driver + "' does not support image creation, and opening the image failed: " + err.Error(),
				Hint: HintOf(err)}
		}
		b := g.NewBackend("", "", PermConsistentRead|PermWrite|PermResize, PermAll)
		defer b.Delete()
		err = b.Insert(n)
		g.Unref(n)
		if err != nil {
			return err
		}
		resized := b.Truncate(ctx, r.Size, false, PreallocOff, false)
		if resized != nil && !IsNotSup(resized) {
			return resized
		}
		length, err := b.Length(ctx)
		if err != nil {
			return Errnof(Errno(err), "Failed to inquire the new image file's length")
		}
		if length < r.Size {
			return resized
		}
		if err := b.WriteZeroes(ctx, 0, min(length, sectorSize), 0); err != nil {
			return Errnof(Errno(err), "Failed to clear the new image's first sector")
		}
		return nil
	}
}
