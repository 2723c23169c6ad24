package accel

// StatType says what a statistic's values are, in QEMU's words.
type StatType string

// The types.
const (
	StatCumulative      StatType = "cumulative" // only grows
	StatInstant         StatType = "instant"
	StatPeak            StatType = "peak"
	StatLinearHistogram StatType = "linear-histogram" // of buckets of the same width
	StatLog2Histogram   StatType = "log2-histogram"   // of a bucket for each power of two
)

// StatUnit is what a statistic is measured in, in QEMU's words; "" for a mere number.
type StatUnit string

// The units.
const (
	StatBytes   StatUnit = "bytes"
	StatSeconds StatUnit = "seconds"
	StatCycles  StatUnit = "cycles"
	StatBoolean StatUnit = "boolean"
)

// Stat is a statistic that an accelerator keeps of a machine or of a CPU.
type Stat struct {
	Name string
	Type StatType
	Unit StatUnit
	// Base to the power of Exponent is what the unit is multiplied by; Base is 10 or 2.
	Base       int8
	Exponent   int16
	BucketSize uint32   // of a linear histogram
	Values     []uint64 // one, or one for each bucket
}
