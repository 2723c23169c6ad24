package cli

func (p *parser) loadVM(v string) error { p.VM.LoadVM = v; return nil }

func (p *parser) incoming(v string) error { p.VM.Incoming = v; return nil }

func (p *parser) onlyMigratable(string) error { p.VM.OnlyMigratable = true; return nil }
