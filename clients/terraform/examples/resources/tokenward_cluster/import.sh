terraform import tokenward_cluster.paris paris
