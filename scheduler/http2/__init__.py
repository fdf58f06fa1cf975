"""A sans-IO HTTP/2 client connection that is made for sending the same headers to everyone: the express path.

`connection.ExpressConnection` is the entry. It knows nothing of APNs: that is `scheduler.apns.link_laws`.
"""
