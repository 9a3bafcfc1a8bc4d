"""When and whom to ask, and how often again. What a vendor says is providers' business."""
