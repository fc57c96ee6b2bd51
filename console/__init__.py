"""Everything a person touches: commands, the view of a run, reports, the proof."""
