package tensor

// pause lets a spinning thread rest for some tens of nanoseconds.
func pause()
