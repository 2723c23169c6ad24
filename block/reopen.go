package block

// reopening is what a node becomes.
type reopening struct {
	mode     Mode
	options  *Options
	explicit *Options
}
