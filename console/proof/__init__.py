"""The parts of the proof: the venues' ledgers, the journals folded anew, and the judgement of the one by the other."""
