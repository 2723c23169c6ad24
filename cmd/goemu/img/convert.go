package img

import (
	"errors"
	"strings"
	"sync"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"
)

// defaultSparse is the default of -S.
const defaultSparse = 4096

// convertArgs are the arguments of convert.
type convertArgs struct {
	sources               []string
	target                string
	format, outFormat     string
	base, baseFormat      *string
	list, cache, srcCache string
	snap                  snapshotParam
	sparse                int64
	sparseSet             bool
	rate                  int64
	workers               int
	copyRange, compress   bool
	show, quiet, noCreate bool
	outOfOrder, share     bool
	imageOpts, targetOpts bool
	salvage, targetIsZero bool
	bitmaps, skipBroken   bool
	targetHasBacking      bool
	backFormat            string
	secrets               *block.Options
	sourcesThrough        bool
}

func (c *command) convert(args []string) int {
	a := convertArgs{cache: "unsafe", srcCache: "writeback", sparse: defaultSparse, workers: img.DefaultWorkers}
	ops, status, ok := c.parse(args, c.convertOptions(&a)...)
	if !ok {
		return status
	}
	if a.outFormat == "" && !a.targetOpts {
		a.outFormat = "raw"
	}
	if !c.checkConvert(&a) {
		return 1
	}
	if len(ops) > 1 {
		a.target = ops[len(ops)-1]
	}
	if a.list != "" && tool.HasHelp(a.list) {
		if a.outFormat == "" {
			c.Errorf("Option help requires a format be specified")
			return 1
		}
		return c.optionHelp(a.target, a.outFormat)
	}
	if len(ops) < 2 {
		c.Errorf("Must specify image file name")
		return 1
	}
	a.sources = ops[:len(ops)-1]
	return c.runConvert(&a)
}

func (c *command) convertOptions(a *convertArgs) []option {
	return []option{objectOption, text('f', "", &a.format), text('O', "", &a.outFormat), flag('C', "", &a.copyRange), flag('c', "", &a.compress),
		option{'B', "", true, func(v string) bool { a.base = &v; return true }},
		option{'F', "", true, func(v string) bool { a.baseFormat = &v; return true }},
		c.list(&a.list), c.snapshotOption(&a.snap), option{'S', "", true, func(v string) bool { return c.sparse(a, v) }},
		flag('p', "", &a.show), text('t', "", &a.cache), text('T', "", &a.srcCache), flag('q', "", &a.quiet), flag('n', "", &a.noCreate),
		option{'m', "", true, func(v string) bool {
			n, err := tool.ParseLong(v)
			if err != nil || n < 1 || n > img.MaxWorkers {
				c.Errorf("Invalid number of coroutines. Allowed number of coroutines is between 1 and %d", img.MaxWorkers)
				return false
			}
			a.workers = int(n)
			return true
		}},
		flag('W', "", &a.outOfOrder), flag('U', "force-share", &a.share), c.size('r', "", "rate limit", &a.rate),
		flag(0, "image-opts", &a.imageOpts), flag(0, "target-image-opts", &a.targetOpts), flag(0, "salvage", &a.salvage),
		flag(0, "target-is-zero", &a.targetIsZero), flag(0, "bitmaps", &a.bitmaps), flag(0, "skip-broken-bitmaps", &a.skipBroken)}
}

// sparse reads -S.
func (c *command) sparse(a *convertArgs, v string) bool {
	n, ok := c.Size("buffer size for sparse output", v)
	if !ok {
		return false
	}
	if n%img.SectorSize != 0 || n > img.MaxBuffer {
		c.Errorf("Invalid buffer size for sparse output specified. Valid sizes are multiples of %d up to %d. Select 0 to disable sparse detection (fully allocates output).",
			img.SectorSize, img.MaxBuffer)
		return false
	}
	a.sparse, a.sparseSet = n, true
	return true
}

// checkConvert refuses options that do not go together.
func (c *command) checkConvert(a *convertArgs) bool {
	for _, r := range []struct {
		bad  bool
		text string
	}{
		{a.skipBroken && !a.bitmaps, "Use of --skip-broken-bitmaps requires --bitmaps"},
		{a.compress && a.copyRange, "Cannot enable copy offloading when -c is used"},
		{a.sparseSet && a.copyRange, "Cannot enable copy offloading when -S is used"},
		{a.copyRange && a.salvage, "Cannot use copy offloading in salvaging mode"},
		{a.targetOpts && !a.noCreate, "--target-image-opts requires use of -n flag"},
		{a.noCreate && a.list != "", "-o has no effect when skipping image creation"},
		{a.targetIsZero && !a.noCreate, "--target-is-zero requires use of -n flag"},
	} {
		if r.bad {
			c.Errorf("%s", r.text)
			return false
		}
	}
	return true
}

// errReported says that a message was printed already.
var errReported = errors.New("reported")

// errNotZero ends the conversion, but not with a status that tells of a failure.
var errNotZero = errors.New("Cannot use --target-is-zero when the destination image has a backing file")

func (c *command) runConvert(a *convertArgs) int {
	mode := block.Mode{ReadOnly: true}
	var ok bool
	if a.sourcesThrough, ok = tool.SetCache(&mode, a.srcCache); !ok {
		c.Errorf("Invalid source cache option: %s", a.srcCache)
		return 1
	}
	progress := c.NewProgress(a.show && !a.quiet, 1)
	progress.Set(0)
	conv := &img.Conversion{MinSparse: a.sparse, Compressed: a.compress, Workers: a.workers, InOrder: !a.outOfOrder, CopyRange: a.copyRange,
		Salvage: a.salvage, ZeroInit: a.targetIsZero, TargetIsNew: !a.noCreate, BackingSize: -1, Rate: a.rate}
	var reports sync.Mutex
	conv.Progress = progress.Set
	conv.Fail = func(s string) { reports.Lock(); c.Errorf("%s", s); reports.Unlock() }
	conv.Warn = func(s string) {
		if !a.quiet {
			reports.Lock()
			c.Warnf("%s", s)
			reports.Unlock()
		}
	}
	err := c.convertInto(conv, a, mode)
	if err == nil {
		progress.Set(100)
	}
	progress.End()
	c.Close(conv.Target)
	c.Close(conv.Sources...)
	if err != nil {
		if err != errReported {
			c.Report("", err)
		}
		if err != errNotZero {
			return 1
		}
	}
	return 0
}

func (c *command) convertInto(conv *img.Conversion, a *convertArgs, mode block.Mode) error {
	for _, name := range a.sources {
		b := c.Open(tool.Source{Name: name, Format: a.format, ImageOpts: a.imageOpts, ForceShare: a.share, Mode: mode, Writethrough: a.sourcesThrough, NoShare: true})
		if b == nil {
			return errReported
		}
		conv.Sources = append(conv.Sources, b)
	}
	if a.snap.set {
		if a.snap.any != "" && len(a.sources) > 1 {
			return errors.New("No support for concatenating multiple snapshot")
		}
		if !c.loadSnapshot(conv.Sources[0], a.snap) {
			return errReported
		}
	}
	total, i, err := conv.Prepare(c.Ctx)
	if err != nil {
		c.Errorf("Could not get size of %s: %s", a.sources[i], tool.Reason(err))
		return errReported
	}
	if err := c.makeTarget(conv, a, total); err != nil {
		return err
	}
	if err := c.openTarget(conv, a, total); err != nil {
		return err
	}
	if conv.Run(c.Ctx) != nil {
		return errReported
	}
	if a.bitmaps {
		return c.copyBitmaps(conv.Sources[0].Node(), conv.Target.Node(), a.skipBroken)
	}
	return nil
}

// makeTarget creates the target, unless it is there.
func (c *command) makeTarget(conv *img.Conversion, a *convertArgs, total int64) error {
	var d *block.Driver
	var o *tool.CreateOptions
	if !a.noCreate {
		var proto *block.Driver
		if d, proto = c.creatable(a.target, a.outFormat); d == nil {
			return errReported
		}
		o = tool.NewCreateOptions(d.CreateOptions, proto.CreateOptions)
		if err := o.Parse(a.list); err != nil {
			return err
		}
		o.SetNumber(optSize, total)
		if err := tool.SetBacking(o, a.outFormat, a.base, a.baseFormat); err != nil {
			return err
		}
	}
	explicit := false
	if o != nil {
		_, explicit = o.Get(optBacking)
		a.backFormat, _ = o.Get(optBackFmt)
	}
	a.targetHasBacking = explicit || a.base != nil
	switch {
	case conv.ZeroInit && a.targetHasBacking:
		return errNotZero
	case len(a.sources) > 1 && a.targetHasBacking:
		return errors.New("Having a backing file for the target makes no sense when concatenating multiple input images")
	case explicit && a.backFormat == "":
		return errors.New("Use of backing file requires explicit backing format")
	}
	if a.compress {
		if err := canCompress(d, o); err != nil {
			return err
		}
	}
	if a.bitmaps {
		if len(a.sources) > 1 {
			return errors.New("Copying bitmaps only possible with single source")
		}
		if err := c.checkBitmaps(conv.Sources[0].Node(), a.skipBroken); err != nil {
			return err
		}
	}
	if a.noCreate {
		return nil
	}
	values := o.Options()
	a.secrets = block.NewOptions()
	for _, name := range values.Names() {
		if v, ok := values.Get(name); ok && strings.HasSuffix(name, "key-secret") {
			a.secrets.Set(name, v)
		}
	}
	c.Graph.Lock()
	defer c.Graph.Unlock()
	if err := c.Graph.Create(c.Ctx, d, a.target, total, values); err != nil {
		return block.Prepend(err, a.target+": error while converting "+a.outFormat+": ")
	}
	return nil
}

// canCompress checks what a compressed target cannot have.
func canCompress(d *block.Driver, o *tool.CreateOptions) error {
	if d == nil {
		return nil
	}
	if !d.Compresses {
		return errors.New("Compression not supported for this file format")
	}
	_, encrypted := o.Get("encrypt.format")
	if v, _ := o.Get("encryption"); encrypted || v == "on" {
		return errors.New("Compression and encryption not supported at the same time")
	}
	if v, ok := o.Get(optPrealloc); ok && v != block.PreallocOff.String() {
		return errors.New("Compression and preallocation not supported at the same time")
	}
	return nil
}

// openTarget opens the target and fits the conversion to it.
func (c *command) openTarget(conv *img.Conversion, a *convertArgs, total int64) error {
	mode := block.Mode{Unmap: a.sparse != 0}
	through, ok := tool.SetCache(&mode, a.cache)
	if !ok {
		c.Errorf("Invalid cache option: %s", a.cache)
		return errReported
	}
	src := tool.Source{Name: a.target, Format: a.outFormat, Mode: mode, Writethrough: through, Resize: mode.Direct, Extra: a.secrets}
	if a.noCreate {
		src.ImageOpts = a.targetOpts
	}
	if conv.Target = c.Open(src); conv.Target == nil {
		return errReported
	}
	n := conv.Target.Node()
	if a.bitmaps && !storesBitmaps(n) {
		c.Errorf("Format driver '%s' does not support bitmaps", n.DriverName())
		return errReported
	}
	if a.compress && !n.CanCompress() {
		return errors.New("Compression not supported for this file format")
	}
	if a.noCreate {
		length, err := conv.Target.Length(c.Ctx)
		if err != nil {
			c.Errorf("unable to get output image length: %s", tool.Reason(err))
			return errReported
		}
		if length < total/img.SectorSize*img.SectorSize && length < total {
			return errors.New("output file is smaller than input file")
		}
	}
	if conv.HasBacking = a.targetHasBacking; conv.HasBacking && conv.TargetIsNew {
		if cow := n.SkipFilters().COWChild(); cow != nil {
			if size, err := cow.Node().Length(c.Ctx); err == nil {
				conv.BackingSize = (size + img.SectorSize - 1) / img.SectorSize * img.SectorSize
			}
		}
	}
	switch info, ok := n.Info(); {
	case ok:
		conv.Compressed = conv.Compressed || info.NeedsCompressedWrites
		conv.Cluster = info.ClusterSize
	case conv.Compressed:
		return errors.New("could not get block driver info")
	}
	return nil
}
