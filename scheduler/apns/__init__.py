"""Apple's push service without I/O: requests and their headers, answers, reasons, the provider token, a link's laws."""
