package img

import (
	"math"
	"strings"

	"goemu/block"
	"goemu/internal/tool"
)

// ddArgs are the operands of dd.
type ddArgs struct {
	bs             int64
	count, skip    int64
	hasCount       bool
	hasSkip        bool
	in, out        string
	hasIn, hasOut  bool
	size           int64 // of the input that counts
	beyond         bool  // skip is behind the end
	outFormat, fmt string
}

func (c *command) dd(args []string) int {
	a := ddArgs{bs: 512, outFormat: "raw"}
	var imageOpts, share bool
	ops, status, ok := c.parse(args, objectOption, text('f', "", &a.fmt), text('O', "", &a.outFormat), flag('U', "force-share", &share), flag(0, "image-opts", &imageOpts))
	if !ok {
		return status
	}
	for _, op := range ops {
		if !c.ddOperand(&a, op) {
			return 1
		}
	}
	if !a.hasIn || !a.hasOut {
		c.Errorf("Must specify both input and output files")
		return 1
	}
	in := c.Open(tool.Source{Name: a.in, Format: a.fmt, ImageOpts: imageOpts, ForceShare: share, Mode: block.Mode{ReadOnly: true}})
	if in == nil {
		return 1
	}
	defer c.Close(in)
	out := c.ddTarget(&a, in)
	if out == nil {
		return 1
	}
	defer c.Close(out)
	return c.ddCopy(&a, in, out)
}

// ddOperand reads name=value.
func (c *command) ddOperand(a *ddArgs, op string) (ok bool) {
	name, value, found := strings.Cut(op, "=")
	if !found {
		c.Errorf("unrecognized operand %s", op)
		return false
	}
	switch name {
	case "bs":
		a.bs, ok = c.SizeBetween("bs", value, 1, math.MaxInt32)
	case "count":
		a.count, ok = c.Size("count", value)
		a.hasCount = true
	case "skip":
		a.skip, ok = c.Size("skip", value)
		a.hasSkip = true
	case "if":
		a.in, a.hasIn, ok = value, true, true
	case "of":
		a.out, a.hasOut, ok = value, true, true
	default:
		c.Errorf("unrecognized operand %s", name)
	}
	return ok
}

// ddTarget creates and opens the output; nil after a message.
func (c *command) ddTarget(a *ddArgs, in *block.Backend) *block.Backend {
	d := c.Graph.FindDriver(a.outFormat)
	if d == nil {
		c.Errorf("Unknown file format")
		return nil
	}
	proto := c.protocol(a.out)
	if proto == nil || !c.canCreate(d, proto) {
		return nil
	}
	size, err := in.Length(c.Ctx)
	if err != nil {
		c.Errorf("Failed to get size for '%s'", a.in)
		return nil
	}
	if a.hasCount && a.count <= math.MaxInt64/a.bs && a.count*a.bs < size {
		size = a.count * a.bs
	}
	a.size = size
	a.beyond = a.hasSkip && (a.skip > math.MaxInt64/a.bs || size < a.bs*a.skip)
	outSize := int64(0)
	if !a.beyond {
		outSize = size - a.bs*a.skip
	}
	c.Graph.Lock()
	err = c.Graph.Create(c.Ctx, d, a.out, outSize, block.NewOptions())
	c.Graph.Unlock()
	if err != nil {
		c.Report(a.out+": error while creating output image: ", err)
		return nil
	}
	return c.Open(tool.Source{Name: a.out, Format: a.outFormat})
}

func (c *command) ddCopy(a *ddArgs, in, out *block.Backend) int {
	pos := a.skip * a.bs
	if a.beyond {
		c.Errorf("%s: cannot skip to specified offset", a.in)
		pos = a.size
	}
	buf := make([]byte, a.bs)
	for to := int64(0); pos < a.size; {
		n := min(a.bs, a.size-pos)
		if err := in.Read(c.Ctx, pos, buf[:n]); err != nil {
			c.Errorf("error while reading from input image file: %s", tool.Reason(err))
			return 1
		}
		if err := out.Write(c.Ctx, to, buf[:n], 0); err != nil {
			c.Errorf("error while writing to output image file: %s", tool.Reason(err))
			return 1
		}
		pos, to = pos+n, to+n
	}
	return 0
}
